"""Decides which pieces share a cue: the way to cut a stretch of speech that costs least in all (Knuth and Plass 1981).

Every cue fits its lines and its time. Cues end with sentences and phrases, and none is but a word or a flash where
that can be helped.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from ingest_service.subtitles.break_costs import BreakCosts, ends_sentence
from ingest_service.subtitles.limits import CueLimits
from ingest_service.subtitles.lines import Row
from ingest_service.subtitles.pieces import Piece

STRETCH_PAUSE_S = 1.0  # no cue stays on the screen over a longer pause
ANY_CUE = 1.5  # a cue costs so much, that there are not more than are needed
SENTENCE_INSIDE = 2.0  # a sentence that ends in the middle of a cue: better in two, unless one is very short
ONE_WORD = 3.0
SHORT = 3.0  # cost of a cue without any time; none from here on:
SHORT_S = 1.2


def cut_cues(
    pieces: Sequence[Piece], limits: CueLimits, *, indent: int, costs: BreakCosts
) -> Iterator[Sequence[Piece]]:
    """The pieces of one speaker, divided; each must fit in a line whose first `indent` columns are taken."""
    for stretch in _stretches(pieces):
        ends = _Cutter(stretch, limits, indent, costs).ends()
        yield from (stretch[start:end] for start, end in pairwise((0, *ends)))


def _stretches(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """What lies between long pauses."""
    start = 0
    for number in range(1, len(pieces)):
        if pieces[number].start_s - pieces[number - 1].end_s >= STRETCH_PAUSE_S:
            yield pieces[start:number]
            start = number
    if pieces:
        yield pieces[start:]


class _Cutter:
    """One stretch: what each break costs, and how far each cue may go."""

    def __init__(self, pieces: Sequence[Piece], limits: CueLimits, indent: int, costs: BreakCosts) -> None:
        self._pieces, self._count = pieces, len(pieces)
        self._max_s = limits.max_seconds
        self._breaks = [*(costs.between(before, after) for before, after in pairwise(pieces)), 0.0]
        self._sentences = list(accumulate((ends_sentence(piece) for piece in pieces), initial=0))
        self._room = _room(Row(pieces), limits, indent)

    def ends(self) -> list[int]:
        """Where the cues of the cheapest way end."""
        best, previous = [0.0] + [float("inf")] * self._count, [0] * (self._count + 1)
        for start in range(self._count):
            for end in self._possible_ends(start):
                cost = best[start] + self._cost(start, end)
                if cost < best[end]:
                    best[end], previous[end] = cost, start
        ends = [self._count]
        while previous[ends[-1]]:
            ends.append(previous[ends[-1]])
        return ends[::-1]

    def _possible_ends(self, start: int) -> Iterator[int]:
        yield start + 1
        for end in range(start + 2, self._room[start] + 1):
            if self._pieces[end - 1].end_s - self._pieces[start].start_s > self._max_s:
                return
            yield end

    def _cost(self, start: int, end: int) -> float:
        inside = self._sentences[end - 1] - self._sentences[start]
        until_s = self._pieces[end].start_s if end < self._count else self._pieces[end - 1].end_s + STRETCH_PAUSE_S
        shown_s = until_s - self._pieces[start].start_s
        return (
            ANY_CUE
            + self._breaks[end - 1]
            + SENTENCE_INSIDE * inside
            + SHORT * max(0.0, 1 - shown_s / SHORT_S)
            + (ONE_WORD if end - start == 1 < self._count else 0.0)
        )


def _room(row: Row, limits: CueLimits, indent: int) -> list[int]:
    """For each piece, where a cue that begins with it must end for its lines to be full."""
    reaches = row.reaches(limits.max_chars)
    room = row.reaches(limits.max_chars - indent)
    for _ in range(limits.max_lines - 1):
        room = [reaches[end] for end in room]
    return room
