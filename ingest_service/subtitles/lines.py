"""Pieces side by side: how wide they are together, how far a line reaches, and the best lines of one cue."""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from ingest_service.subtitles.break_costs import BreakCosts
from ingest_service.subtitles.display_width import display_width
from ingest_service.subtitles.pieces import Piece

Way = tuple[float, tuple[int, ...]]  # a cost, and where lines end

LONELY = 2.0  # cost of a line of one word that takes less than a quarter of it
UNEVEN = 4.0  # cost of a line that is wider or narrower than the mean by a full line


class Row:
    """Pieces in a row; widths are columns."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._spaces = [int(piece.is_spaced) for piece in pieces]
        widths = (display_width(piece.text) + piece.is_spaced for piece in pieces)
        self._positions = list(accumulate(widths, initial=0))

    def width(self, start: int, end: int) -> int:
        """Of the pieces start … end-1, without the space before the first."""
        return self._positions[end] - self._positions[start] - self._spaces[start]

    def reaches(self, columns: int) -> list[int]:
        """For each piece, and for the end, where a line that begins with it must end; at least one piece fits."""
        count = len(self._spaces)
        reaches, end = [], 0
        for start in range(count):
            end = max(end, start + 1)
            while end < count and self.width(start, end + 1) <= columns:
                end += 1
            reaches.append(end)
        return [*reaches, count]


def break_lines(
    pieces: Sequence[Piece], max_chars: int, max_lines: int, *, indent: int, costs: BreakCosts
) -> list[str]:
    """As few lines as hold the pieces, broken at the best places and evenly; `indent` is kept free in the first.

    The least sum of costs over all ways to break (Knuth and Plass 1981). ValueError when they do not fit.
    """
    for lines in range(1, max_lines + 1):
        if ends := _Layout(pieces, max_chars, lines, indent, costs).ends():
            return [joined(pieces[start:end]) for start, end in pairwise((0, *ends))]
    raise ValueError("the pieces do not fit")


class _Layout:
    """A given number of lines."""

    def __init__(self, pieces: Sequence[Piece], max_chars: int, lines: int, indent: int, costs: BreakCosts) -> None:
        self._pieces, self._count, self._row = pieces, len(pieces), Row(pieces)
        self._max_chars, self._lines, self._indent = max_chars, lines, indent
        self._even = self._row.width(0, self._count) / lines
        self._costs = costs
        self._known: dict[tuple[int, int], Way] = {}

    def ends(self) -> tuple[int, ...]:
        """Where the lines end; nothing when so many lines do not hold the pieces."""
        cost, ends = self._best(0, self._lines)
        return ends if cost < math.inf else ()

    def _best(self, start: int, lines: int) -> Way:
        """The least cost of so many lines from a piece on, and where they end."""
        if (start, lines) not in self._known:
            self._known[start, lines] = min(self._ways(start, lines), default=(math.inf, ()))
        return self._known[start, lines]

    def _ways(self, start: int, lines: int) -> Iterator[Way]:
        room = self._max_chars - (0 if start else self._indent)
        for end in range(start + 1, self._count + 1):
            if self._row.width(start, end) > room:
                return
            if end == self._count and lines == 1:
                yield self._cost(start, end), (end,)
            elif end < self._count and lines > 1:
                rest_cost, ends = self._best(end, lines - 1)
                yield self._cost(start, end) + rest_cost, (end, *ends)

    def _cost(self, start: int, end: int) -> float:
        width = self._row.width(start, end)
        uneven = UNEVEN * abs(width - self._even) / self._max_chars
        lonely = LONELY if end - start == 1 and width < self._max_chars / 4 else 0.0
        broken = self._costs.between(self._pieces[end - 1], self._pieces[end]) if end < self._count else 0.0
        return uneven + lonely + broken


def joined(pieces: Sequence[Piece]) -> str:
    """Their text in one line."""
    return "".join(" " * piece.is_spaced + piece.text for piece in pieces).strip()
