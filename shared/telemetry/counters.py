"""Counters, gauges and histograms as slots of one row of doubles: counting is an addition, without lock or look-up.

The usual library takes 2 to 4 µs for each of the dozen counts of an upload once several processes share them; these
take a tenth. `count_board` keeps the row; each service's `metrics` names what is counted.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence


class Row:
    """The numbers of one process. They may move to other memory, so nobody keeps them."""

    def __init__(self) -> None:
        self.numbers: array[float] | memoryview[float] = array("d")


class Counter:
    """Only grows."""

    __slots__ = ("_row", "_slot")

    def __init__(self, row: Row, slot: int) -> None:
        self._row = row
        self._slot = slot

    def inc(self, amount: float = 1) -> None:
        self._row.numbers[self._slot] += amount


class Gauge(Counter):
    """Goes up and down."""

    __slots__ = ()

    def dec(self) -> None:
        self._row.numbers[self._slot] -= 1

    def set(self, value: float) -> None:
        self._row.numbers[self._slot] = value


class Histogram:
    """How many observations fell at or under each bound but above the one before, and their sum in the last slot."""

    __slots__ = ("_bounds", "_row", "_slot", "_sum_slot")

    def __init__(self, row: Row, slot: int, bounds: Sequence[float]) -> None:
        self._row = row
        self._slot = slot
        self._sum_slot = slot + len(bounds) + 1
        self._bounds = tuple(bounds)

    def observe(self, value: float) -> None:
        numbers = self._row.numbers
        numbers[self._slot + bisect_left(self._bounds, value)] += 1
        numbers[self._sum_slot] += value
