"""Give the words of a known script the times at which they are spoken: the option `text`. Pure.

The recording is transcribed as any other. Words of the script that were heard get the times of what was heard. Words
that were heard as others share the time of those. What was not heard gets a time between its neighbours.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import msgspec

from processor_service.transcribers.match_words import likeness, match_words
from processor_service.transcribers.segments import RecognizedWindow, TimedWord, segments_of
from shared.schemas.transcript import ResultWarning, Segment, Transcript, WarningCode
from shared.unspaced import divide_words, is_unspaced, joined_text

LEAST_REPORTED = 3  # words; a model leaves out or adds one or two by itself
REPLACED_CONFIDENCE = 0.5  # of what was heard, for words that were heard as others
MOST_PER_HEARD_WORD = 3.0  # words of the script that one heard word may stand for, and the reverse


class _Unit(msgspec.Struct, frozen=True):
    """What is matched: a word, or a character of a script without spaces. `word` is its number."""

    key: str
    word: int


class _Heard(msgspec.Struct, frozen=True):
    key: str
    start_s: float
    end_s: float
    confidence: float
    text: str


class _Time(msgspec.Struct, frozen=True):
    start_s: float
    end_s: float
    confidence: float


def align_text(transcript: Transcript, text: str, *, start_s: float = 0.0) -> Transcript:
    """Return the transcript with the words of the text instead of its own, in order, all with times.

    `start_s` is where the transcribed part begins. Words that were not heard have the confidence 0.
    """
    words = [word for word in divide_words(" ".join(text.split())) if word]
    units = [_Unit(key, number) for number, word in enumerate(words) for key in keys_of(word)]
    heard = [one for segment in transcript.segments for one in _heard_in(segment)]
    if not units:
        return transcript
    pairs = match_words([one.key for one in units], [one.key for one in heard])
    times = _times(units, heard, pairs, (start_s, transcript.duration))
    timed = _timed_words(words, units, times)
    span = (start_s, transcript.duration)
    window = RecognizedWindow(span=span, words=timed, no_speech_probability=0.0, language=transcript.language)
    segments = tuple(segments_of([window]))
    warnings = (*_not_spoken(timed), *_not_in_text(units, heard, pairs))
    return msgspec.structs.replace(
        transcript,
        text=joined_text(segment.text for segment in segments),
        segments=segments,
        warnings=(*transcript.warnings, *warnings),
    )


def keys_of(word: str) -> list[str]:
    """Return what a word is matched by: its letters and digits without case, or each of its characters."""
    plain = unicodedata.normalize("NFKC", word).casefold()
    letters = "".join(sign for sign in plain if sign.isalnum() or unicodedata.category(sign).startswith("M"))
    if any(map(is_unspaced, letters)):
        return list(letters)
    return [letters] if letters else []


def _heard_in(segment: Segment) -> Iterator[_Heard]:
    """Yield the heard words of a segment, or characters; without word times, its time is divided."""
    spoken = [(word.word, word.start, word.end, word.confidence) for word in segment.words]
    for text, start_s, end_s, confidence in spoken or [(segment.text, segment.start, segment.end, segment.confidence)]:
        keys = [key for word in divide_words(text) for key in keys_of(word)]
        for key, (first_s, last_s) in zip(keys, _divided(keys, start_s, end_s), strict=True):
            yield _Heard(key, first_s, last_s, confidence, text.strip() if len(keys) == 1 else key)


def _divided(keys: Sequence[str], start_s: float, end_s: float) -> list[tuple[float, float]]:
    """Return a part of a span for each key, by its length."""
    edges = [0, *accumulate(len(key) for key in keys)]
    length_s = end_s - start_s
    return [
        (start_s + length_s * one / edges[-1], start_s + length_s * two / edges[-1]) for one, two in pairwise(edges)
    ]


def _times(
    units: Sequence[_Unit], heard: Sequence[_Heard], pairs: Sequence[tuple[int, int]], span: tuple[float, float]
) -> list[_Time]:
    """Return the time of each unit."""
    times: list[_Time] = []
    edges = [(-1, -1), *pairs, (len(units), len(heard))]
    for (one, two), (next_one, next_two) in pairwise(edges):
        if one >= 0:
            times.append(_of_pair(units[one], heard[two]))
        missed, others = units[one + 1 : next_one], heard[two + 1 : next_two]
        from_s = heard[two].end_s if two >= 0 else span[0]
        until_s = heard[next_two].start_s if next_two < len(heard) else max(from_s, span[1])
        times += _of_gap(missed, others, from_s, until_s)
    return times


def _of_pair(unit: _Unit, heard: _Heard) -> _Time:
    share = 1.0 if unit.key == heard.key else likeness(unit.key, heard.key)
    return _Time(heard.start_s, heard.end_s, heard.confidence * share)


def _of_gap(missed: Sequence[_Unit], others: Sequence[_Heard], from_s: float, until_s: float) -> Iterator[_Time]:
    """Yield times of units between two that were heard: those of what was heard instead, or else between both."""
    is_replaced = _stands_for(missed, others)
    confidence = 0.0
    if is_replaced:
        from_s, until_s = others[0].start_s, others[-1].end_s
        confidence = REPLACED_CONFIDENCE * sum(one.confidence for one in others) / len(others)
    for start_s, end_s in _divided([one.key for one in missed], from_s, until_s) if missed else ():
        yield _Time(start_s, end_s, confidence)


def _stands_for(missed: Sequence[_Unit], others: Sequence[_Heard]) -> bool:
    """Whether words were heard instead of others: about as many, and not so many that nothing of them is right."""
    if not missed or not others or min(len(missed), len(others)) > 2 * LEAST_REPORTED:
        return False
    return 1 / MOST_PER_HEARD_WORD <= len(missed) / len(others) <= MOST_PER_HEARD_WORD


def _timed_words(words: Sequence[str], units: Sequence[_Unit], times: Sequence[_Time]) -> list[TimedWord]:
    """Return the words with the times of their units; a word of signs alone belongs to its neighbour."""
    of_word: dict[int, list[_Time]] = {}
    for unit, time in zip(units, times, strict=True):
        of_word.setdefault(unit.word, []).append(time)
    timed: list[TimedWord] = []
    before = ""
    for number, word in enumerate(words):
        if found := of_word.get(number):
            confidence = sum(one.confidence for one in found) / len(found)
            timed.append(TimedWord(before + word, found[0].start_s, found[-1].end_s, confidence))
            before = ""
        elif timed:
            timed[-1] = msgspec.structs.replace(timed[-1], text=timed[-1].text + word)
        else:
            before += word
    return timed


def _not_spoken(words: Sequence[TimedWord]) -> Iterator[ResultWarning]:
    """Yield a warning for each run of words that were not heard."""
    first: int | None = None
    for number, heard in enumerate([*(word.probability > 0 for word in words), True]):
        if not heard:
            first = number if first is None else first
        elif first is not None:
            if number - first >= LEAST_REPORTED:
                yield _warning(
                    WarningCode.TEXT_NOT_SPOKEN,
                    f"The words {first} to {number - 1} of the text, counted from 0, were not heard. Their times are "
                    f"interpolated.",
                    words[first].start_s,
                    words[number - 1].end_s,
                )
            first = None


def _not_in_text(
    units: Sequence[_Unit], heard: Sequence[_Heard], pairs: Sequence[tuple[int, int]]
) -> Iterator[ResultWarning]:
    """Yield a warning for each run of heard words that the text does not have."""
    for (one, two), (next_one, next_two) in pairwise([(-1, -1), *pairs, (len(units), len(heard))]):
        others = heard[two + 1 : next_two]
        if len(others) >= LEAST_REPORTED and not _stands_for(units[one + 1 : next_one], others):
            message = "There is speech here that the text does not have."
            yield _warning(WarningCode.SPEECH_NOT_IN_TEXT, message, others[0].start_s, others[-1].end_s)


def _warning(code: WarningCode, message: str, start_s: float, end_s: float) -> ResultWarning:
    return ResultWarning(code=code, message=message, start=round(start_s, 3), end=round(end_s, 3))
