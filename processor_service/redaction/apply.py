"""Replaces personal data in a transcript by `[PHONE]`, in texts and words. Returns the spans of audio that say it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from processor_service.redaction.find import find_personal_data
from processor_service.redaction.profanity import masked
from processor_service.redaction.tokens import ENDS_SENTENCE, SIGNS, has_all_words, units_of, words_of
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript, Word
from shared.unspaced import joined_text

MARGIN_S = 0.12  # before and after redacted words: word times are right within about this much


class Redacted(NamedTuple):
    """A transcript without personal data. `spans`: where it was said, in seconds, in order and apart from each other.

    `is_rough`: the times of some words are not known; their whole segments are in `spans`.
    """

    transcript: Transcript
    spans: tuple[tuple[float, float], ...] = ()
    is_rough: bool = False


def redacted(transcript: Transcript, options: JobOptions) -> Redacted:
    """Return the transcript as the options want it. It takes seconds for a day of speech."""
    result = _without_personal_data(transcript, options.redacted_kinds) if options.redact else Redacted(transcript)
    if options.profanity == "mask":
        segments = tuple(_masked(one, one.language or transcript.language) for one in result.transcript.segments)
        return result._replace(transcript=_with_segments(result.transcript, segments))
    return result


def _without_personal_data(transcript: Transcript, kinds: Sequence[str]) -> Redacted:
    units = units_of(transcript)
    by_segment: dict[int, dict[int, str]] = {}
    for number, kind in find_personal_data(units, kinds).items():
        by_segment.setdefault(units[number].segment, {})[units[number].at] = kind
    segments = list(transcript.segments)
    spans: list[tuple[float, float]] = []
    for number, kind_of in by_segment.items():
        segments[number], replaced = _replaced(segments[number], kind_of)
        spans += [(word.start - MARGIN_S, word.end + MARGIN_S) for word in replaced]
    is_rough = any(not has_all_words(transcript.segments[number]) for number in by_segment)
    return Redacted(_with_segments(transcript, tuple(segments)), tuple(_joined(spans, transcript.duration)), is_rough)


def _with_segments(transcript: Transcript, segments: tuple[Segment, ...]) -> Transcript:
    return msgspec.structs.replace(transcript, segments=segments, text=joined_text(one.text for one in segments))


def _joined(spans: Sequence[tuple[float, float]], duration_s: float) -> Iterator[tuple[float, float]]:
    """Yield spans in order, those that touch as one, within the audio."""
    start_s, end_s = 0.0, 0.0
    for first_s, last_s in sorted(spans):
        if first_s > end_s:
            if end_s > start_s:
                yield round(start_s, 3), round(end_s, 3)
            start_s = first_s
        start_s, end_s = max(0.0, start_s), max(end_s, min(last_s, duration_s))
    if end_s > start_s:
        yield round(start_s, 3), round(end_s, 3)


def _replaced(segment: Segment, kind_of: dict[int, str]) -> tuple[Segment, list[Word]]:
    """Replace words by their kinds: neighbours of one kind are one word, from the first to the last.

    Return the segment and these words.
    """
    words = words_of(segment)
    places = list(_places(segment.text, words))
    texts: list[str] = []
    kept: list[Word] = []
    replaced: list[Word] = []
    at = 0
    for kind, some in groupby(range(len(words)), kind_of.get):
        numbers = list(some)
        first, last = numbers[0], numbers[-1]
        if kind is None:
            kept += words[first : last + 1]
            continue
        replaced.append(_one_word(words[first : last + 1], _label(kind, words[last].word)))
        kept.append(replaced[-1])
        texts += [segment.text[at : places[first][0]], replaced[-1].word]
        at = places[last][1]
    text = "".join([*texts, segment.text[at:]])
    if any(places[number][0] == places[number][1] for number in kind_of):  # the text spells a word in another way
        text = joined_text(word.word.strip() for word in kept)
    return msgspec.structs.replace(segment, text=text, words=tuple(kept) if has_all_words(segment) else ()), replaced


def _one_word(words: Sequence[Word], text: str) -> Word:
    confidence = min(word.confidence for word in words)
    return msgspec.structs.replace(words[0], word=text, end=words[-1].end, confidence=confidence)


def _label(kind: str, last_word: str) -> str:
    """Return `[PHONE]` with the sign that ended the phrase, so that sentences stay apart."""
    stripped = last_word.strip()
    tail = stripped[len(stripped.rstrip(SIGNS)) :]
    return f"[{kind.upper()}]{tail[0] if tail and (tail[0] in ENDS_SENTENCE or tail[0] == ',') else ''}"


def _places(text: str, words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Yield where each word is in the text. What is not found has an empty place behind the last word."""
    at = 0
    for word in words:
        needle = word.word.strip()
        found = text.find(needle, at)
        start = at if found < 0 else found
        at = start if found < 0 else start + len(needle)
        yield start, at


def _masked(segment: Segment, language: str | None) -> Segment:
    words = tuple(msgspec.structs.replace(word, word=masked(word.word, language)) for word in segment.words)
    return msgspec.structs.replace(segment, text=masked(segment.text, language), words=words)
