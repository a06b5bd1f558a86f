"""Keeps a process's counts and, in a shared folder, tells the sum over all processes that count there.

There each row is a memory-mapped file, so whichever process is asked can answer for all, and what a killed one counted
stays. `expose_metrics` makes text of it.
"""

import hashlib
import mmap
import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from shared.telemetry.counters import Counter, Gauge, Histogram, Row

DOUBLE_BYTES = 8
SUFFIX = ".counts"

Kind = Literal["counter", "gauge", "histogram"]
Label = tuple[str, str]
Labels = tuple[str, Iterable[str]]  # a name and all values that it can have
Pair = tuple[str, str]
Pairs = tuple[Pair, Iterable[Pair]]  # two names, and all pairs of values that they can have


class Series(msgspec.Struct, frozen=True):
    """What is counted under some labels, or without; its numbers begin at `slot`."""

    labels: tuple[Label, ...]
    slot: int


class Family(msgspec.Struct, frozen=True):
    """What is counted under one name. Of a histogram: a number for each bound, one for all above, and the sum."""

    name: str
    kind: Kind
    text: str
    series: tuple[Series, ...]
    bounds: tuple[float, ...] = ()


class Board(Row):
    """All that a process counts. Labels' values are known beforehand: the first event shows as growth from 0."""

    def __init__(self) -> None:
        super().__init__()
        self.families: list[Family] = []
        self._folder: Path | None = None

    def counter(self, name: str, text: str) -> Counter:
        return Counter(self, self._slot("counter", name, text))

    def counters_by(self, labels: Labels, name: str, text: str) -> dict[str, Counter]:
        """A counter for each value of a label."""
        return {value: Counter(self, slot) for value, slot in self._slots("counter", labels, name, text)}

    def counters_by_pair(self, labels: Pairs, name: str, text: str) -> dict[Pair, Counter]:
        """A counter for each pair of values of two labels."""
        return {values: Counter(self, slot) for values, slot in self._pair_slots("counter", labels, name, text)}

    def gauge(self, name: str, text: str) -> Gauge:
        """Processes' gauges are added up, too."""
        return Gauge(self, self._slot("gauge", name, text))

    def gauges_by(self, labels: Labels, name: str, text: str) -> dict[str, Gauge]:
        """A gauge for each value of a label."""
        return {value: Gauge(self, slot) for value, slot in self._slots("gauge", labels, name, text)}

    def gauges_by_pair(self, labels: Pairs, name: str, text: str) -> dict[Pair, Gauge]:
        """A gauge for each pair of values of two labels."""
        return {values: Gauge(self, slot) for values, slot in self._pair_slots("gauge", labels, name, text)}

    def histogram(self, name: str, text: str, bounds: Sequence[float]) -> Histogram:
        return Histogram(self, self._slot("histogram", name, text, bounds), bounds)

    def histograms_by(self, labels: Labels, name: str, text: str, bounds: Sequence[float]) -> dict[str, Histogram]:
        """A histogram for each value of a label."""
        slots = self._slots("histogram", labels, name, text, bounds)
        return {value: Histogram(self, slot, bounds) for value, slot in slots}

    def histograms_by_pair(self, labels: Pairs, name: str, text: str, bounds: Sequence[float]) -> dict[Pair, Histogram]:
        """A histogram for each pair of values of two labels."""
        slots = self._pair_slots("histogram", labels, name, text, bounds)
        return {values: Histogram(self, slot, bounds) for values, slot in slots}

    def share(self, folder: Path) -> None:
        """Count in the folder from now on; called once by each process, after it was forked."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{self._layout()}-{os.getpid()}{SUFFIX}").open("a+b") as file:
            file.truncate(len(self.numbers) * DOUBLE_BYTES)
            row = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
        for slot in self._gauge_slots():
            row[slot] = 0.0
        for slot, number in enumerate(self.numbers):
            row[slot] += number  # on top of what an earlier process with our id had counted
        self._folder = folder
        self.numbers = row

    def sums(self) -> list[float]:
        """The row of all processes together, without the gauges of dead ones. Reads files."""
        total = [0.0] * len(self.numbers)
        for row in self._rows():
            total = [one + other for one, other in zip(total, row, strict=True)]
        return total

    def _rows(self) -> Iterable[Sequence[float]]:
        if self._folder is None:
            yield self.numbers
            return
        for path in self._folder.glob(f"{self._layout()}-*{SUFFIX}"):
            row = array("d", path.read_bytes())
            if len(row) != len(self.numbers):
                continue  # a process that is just starting
            if not _is_alive(int(path.stem.rpartition("-")[2])):
                for slot in self._gauge_slots():
                    row[slot] = 0.0
            yield row

    def _slot(self, kind: Kind, name: str, text: str, bounds: Sequence[float] = ()) -> int:
        return self._add(kind, name, text, [()], bounds)[0].slot

    def _slots(
        self, kind: Kind, labels: Labels, name: str, text: str, bounds: Sequence[float] = ()
    ) -> list[tuple[str, int]]:
        series = self._add(kind, name, text, [((labels[0], value),) for value in labels[1]], bounds)
        return [(one.labels[0][1], one.slot) for one in series]

    def _pair_slots(
        self, kind: Kind, labels: Pairs, name: str, text: str, bounds: Sequence[float] = ()
    ) -> list[tuple[Pair, int]]:
        (first, second), pairs = labels
        series = self._add(kind, name, text, [((first, one), (second, other)) for one, other in pairs], bounds)
        return [((one.labels[0][1], one.labels[1][1]), one.slot) for one in series]

    def _add(
        self, kind: Kind, name: str, text: str, labels: Sequence[tuple[Label, ...]], bounds: Sequence[float]
    ) -> tuple[Series, ...]:
        if not isinstance(self.numbers, array):
            raise TypeError("The row is shared already: it has its length.")
        first, width = len(self.numbers), len(bounds) + 2 if kind == "histogram" else 1
        self.numbers.extend([0.0] * (width * len(labels)))
        series = tuple(Series(one, first + number * width) for number, one in enumerate(labels))
        self.families.append(Family(name, kind, text, series, tuple(bounds)))
        return series

    def _gauge_slots(self) -> list[int]:
        return [series.slot for family in self.families if family.kind == "gauge" for series in family.series]

    def _layout(self) -> str:
        """Another version's rows mean other things: they stand beside ours."""
        return hashlib.sha256(repr(self.families).encode()).hexdigest()[:16]


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
