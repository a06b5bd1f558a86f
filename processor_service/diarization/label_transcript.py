"""Label a transcript with speakers: words by their times, segments by their words. Pure.

A segment without words gets the speaker with the most time in it.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby

import msgspec

from processor_service.transcribers.merge import cut_segment
from shared.schemas.transcript import Segment, Transcript, Turn, Word


def label_transcript(transcript: Transcript, turns: Sequence[Turn]) -> Transcript:
    """Label a transcript; a segment in which the speaker changes is divided. Without turns nothing changes.

    Both have times in the source. A word outside all turns gets the speaker of the nearest turn.
    """
    if not turns:
        return transcript
    speakers = _Speakers(turns)
    labelled = [part for segment in transcript.segments for part in _labelled(segment, speakers)]
    segments = tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(labelled))
    return msgspec.structs.replace(transcript, segments=segments)


class _Speakers:
    """Finds the speaker at a time."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = sorted(turns, key=lambda turn: turn.start)
        self._starts = [turn.start for turn in self._turns]
        self._latest: list[Turn] = list(accumulate(self._turns, _ends_last))

    def between(self, start: float, end: float, *, before: str | None = None) -> str:
        """The speaker with the most time in a span; for equal times, the speaker of the previous word."""
        seconds: dict[str, float] = {}
        for turn in self._overlapping(start, end):
            overlap = min(end, turn.end) - max(start, turn.start)
            seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + overlap
        if not seconds:
            return self._nearest(start, end)
        return max(seconds, key=lambda name: (round(seconds[name], 3), name == before))

    def _overlapping(self, start: float, end: float) -> Iterator[Turn]:
        number = bisect_left(self._starts, end) - 1
        while number >= 0 and self._latest[number].end > start:
            if self._turns[number].end > start:
                yield self._turns[number]
            number -= 1

    def _nearest(self, start: float, end: float) -> str:
        following = bisect_left(self._starts, end)
        around = [*self._latest[max(0, following - 1) : following], *self._turns[following : following + 1]]
        return min(around, key=lambda turn: max(start - turn.end, turn.start - end)).speaker


def _ends_last(one: Turn, other: Turn) -> Turn:
    return one if one.end >= other.end else other


def _labelled(segment: Segment, speakers: _Speakers) -> Iterator[Segment]:
    """The parts of a segment, one for each sequence of words of one speaker."""
    if not segment.words:
        yield msgspec.structs.replace(segment, speaker=speakers.between(segment.start, segment.end))
        return
    words = tuple(_labelled_words(segment.words, speakers))
    labelled = msgspec.structs.replace(segment, words=words, speaker=words[0].speaker)
    first = 0
    for name, run in groupby(words, key=lambda word: word.speaker):
        last = first + len(list(run))
        part = labelled if last - first == len(words) else cut_segment(labelled, first, last)
        yield msgspec.structs.replace(part, speaker=name)
        first = last


def _labelled_words(words: Sequence[Word], speakers: _Speakers) -> Iterator[Word]:
    before: str | None = None
    for word in words:
        before = speakers.between(word.start, word.end, before=before)
        yield msgspec.structs.replace(word, speaker=before)
