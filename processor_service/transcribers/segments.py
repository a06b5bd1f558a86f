"""Divide timed words into segments: one sentence each, or less at pauses and in very long sentences.

Words in the overlap of two windows are kept once.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import msgspec

from processor_service.transcribers.seam import SpokenWord, find_seam
from processor_service.transcribers.transcriber import Span, word
from shared.schemas.transcript import Segment

SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")  # noqa: RUF001 - full-width signs of Chinese and Japanese
PAUSE_S = 1.0  # a pause that always divides segments
LONG_S = 15.0  # a longer segment ends at the next comma
CLAUSE_ENDS = (",", ";", ":", "，", "、", "；")  # noqa: RUF001 - as above
LEAST_PROBABILITY = 1e-4  # so that one improbable word does not set the confidence of its segment to zero


class TimedWord(msgspec.Struct, frozen=True):
    """A word with the punctuation after it, and a leading space if the language has spaces. Times are seconds."""

    text: str
    start_s: float
    end_s: float
    probability: float


class RecognizedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one window, with times in the audio."""

    span: Span
    words: Sequence[TimedWord]
    no_speech_probability: float
    language: str | None = None
    languages: Mapping[str, float] | None = None  # probabilities, if they are wanted

    @property
    def language_probability(self) -> float | None:
        """That of the window's language."""
        return None if self.languages is None else self.languages.get(self.language or "", 0.0)


def segments_of(windows: Sequence[RecognizedWindow]) -> list[Segment]:
    """The segments of windows in order, numbered from 0. A sentence may span two windows."""
    segments: list[Segment] = []
    for language, run in groupby(_without_duplicates(windows), key=lambda window: window.language):
        segments += _segments(list(run), language, len(segments))
    return segments


def main_language(segments: Sequence[Segment]) -> str | None:
    """The language of most of the text; None if no segment has one."""
    counts: dict[str, int] = {}
    for segment in segments:
        if segment.language:
            counts[segment.language] = counts.get(segment.language, 0) + len(segment.text)
    return max(counts, key=lambda code: counts[code], default=None)


def _segments(windows: Sequence[RecognizedWindow], language: str | None, number: int) -> Iterator[Segment]:
    """The segments of windows of one language, numbered from `number`."""
    words: list[TimedWord] = []
    of_words: list[RecognizedWindow] = []
    for window in windows:
        words += window.words
        of_words += [window] * len(window.words)
    done = 0
    for group in _grouped(words):
        yield _segment(number, group, of_words[done], language)
        number += 1
        done += len(group)


def _without_duplicates(windows: Sequence[RecognizedWindow]) -> list[RecognizedWindow]:
    joined: list[RecognizedWindow] = []
    for window in windows:
        words = window.words
        if joined and (last := joined[-1]).span[1] > window.span[0]:
            cut_s = (last.span[1] + window.span[0]) / 2
            kept, dropped = find_seam([_spoken(one) for one in last.words], [_spoken(one) for one in words], cut_s)
            joined[-1] = msgspec.structs.replace(last, words=last.words[:kept])
            words = _from(words[dropped:], last.words[kept - 1].end_s if kept else 0.0)
        joined.append(msgspec.structs.replace(window, words=words))
    return joined


def _spoken(word: TimedWord) -> SpokenWord:
    return SpokenWord(word.text, word.start_s, word.end_s)


def _from(words: Sequence[TimedWord], earliest_s: float) -> list[TimedWord]:
    """The words with no time before `earliest_s`."""
    return [
        msgspec.structs.replace(one, start_s=max(one.start_s, earliest_s), end_s=max(one.end_s, earliest_s))
        for one in words
    ]


def _grouped(words: Sequence[TimedWord]) -> Iterator[list[TimedWord]]:
    group: list[TimedWord] = []
    for one in words:
        if group and _is_divided(group, one):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _is_divided(group: Sequence[TimedWord], following: TimedWord) -> bool:
    last = group[-1]
    if following.start_s - last.end_s >= PAUSE_S or last.text.endswith(SENTENCE_ENDS):
        return True
    return last.end_s - group[0].start_s >= LONG_S and last.text.endswith(CLAUSE_ENDS)


def _segment(number: int, group: Sequence[TimedWord], window: RecognizedWindow, language: str | None) -> Segment:
    likelihoods = [math.log(max(one.probability, LEAST_PROBABILITY)) for one in group]
    words = tuple(word(one.text.strip(), one.start_s, one.end_s, one.probability) for one in group)
    probability = window.language_probability
    return Segment(
        id=number,
        start=words[0].start,
        end=words[-1].end,
        text="".join(one.text for one in group).strip(),
        confidence=round(math.exp(sum(likelihoods) / len(likelihoods)), 4),
        no_speech_prob=round(window.no_speech_probability, 4),
        language=language,
        language_probability=msgspec.UNSET if probability is None else round(probability, 4),
        words=words,
    )
