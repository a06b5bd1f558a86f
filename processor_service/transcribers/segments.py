"""Makes segments of timed words: a sentence each, or less where the speaker pauses or goes on for very long."""

import math
from collections.abc import Iterator, Sequence

import msgspec

from processor_service.transcribers.protocol import word
from shared.transcript import Segment

SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")  # noqa: RUF001 - full-width signs of Chinese and Japanese
PAUSE_S = 1.0  # divides segments in any case
LONG_S = 15.0  # from here on a segment ends at the next comma
CLAUSE_ENDS = (",", ";", ":", "，", "、", "；")  # noqa: RUF001 - as above
LEAST_PROBABILITY = 1e-4  # so that one impossible word does not make its segment worth nothing


class TimedWord(msgspec.Struct, frozen=True):
    """A word with the sign that follows it; a leading space where the language has one. Times are seconds."""

    text: str
    start_s: float
    end_s: float
    probability: float


def segments_of(words: Sequence[TimedWord], *, no_speech_probability: float, keep_words: bool) -> list[Segment]:
    """Segments of rising words, numbered from 0."""
    return [
        _segment(number, group, no_speech_probability, keep_words=keep_words)
        for number, group in enumerate(_grouped(words))
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


def _segment(number: int, group: Sequence[TimedWord], no_speech_probability: float, *, keep_words: bool) -> Segment:
    likelihoods = [math.log(max(one.probability, LEAST_PROBABILITY)) for one in group]
    words = tuple(word(one.text.strip(), one.start_s, one.end_s, one.probability) for one in group)
    return Segment(
        id=number,
        start=words[0].start,
        end=words[-1].end,
        text="".join(one.text for one in group).strip(),
        confidence=round(math.exp(sum(likelihoods) / len(likelihoods)), 4),
        no_speech_prob=round(no_speech_probability, 4),
        words=words if keep_words else (),
    )
