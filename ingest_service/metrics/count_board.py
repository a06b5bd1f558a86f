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

from ingest_service.metrics.counters import Counter, Gauge, Histogram, Row

DOUBLE_BYTES = 8
SUFFIX = ".counts"

Label = tuple[str, str] | None
Labels = tuple[str, Iterable[str]]  # a name and all values that it can have


class Series(msgspec.Struct, frozen=True):
    """What is counted under one label, or without; its numbers begin at `slot`."""

    label: Label
    slot: int


class Family(msgspec.Struct, frozen=True):
    """What is counted under one name. Of a histogram: a number for each bound, one for all above, and the sum."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
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
        family = self._add(Family(name, "counter", text, self._series([None])))
        return Counter(self, family.series[0].slot)

    def counters_by(self, labels: Labels, name: str, text: str) -> dict[str, Counter]:
        """A counter for each value of a label."""
        series = self._series([(labels[0], value) for value in labels[1]])
        self._add(Family(name, "counter", text, series))
        return {one.label[1]: Counter(self, one.slot) for one in series if one.label}

    def gauge(self, name: str, text: str) -> Gauge:
        """Processes' gauges are added up, too."""
        family = self._add(Family(name, "gauge", text, self._series([None])))
        return Gauge(self, family.series[0].slot)

    def histogram(self, name: str, text: str, bounds: Sequence[float]) -> Histogram:
        series = self._series([None], len(bounds) + 2)
        self._add(Family(name, "histogram", text, series, tuple(bounds)))
        return Histogram(self, series[0].slot, bounds)

    def histograms_by(self, labels: Labels, name: str, text: str, bounds: Sequence[float]) -> dict[str, Histogram]:
        """A histogram for each value of a label."""
        series = self._series([(labels[0], value) for value in labels[1]], len(bounds) + 2)
        self._add(Family(name, "histogram", text, series, tuple(bounds)))
        return {one.label[1]: Histogram(self, one.slot, bounds) for one in series if one.label}

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

    def _series(self, labels: Sequence[Label], width: int = 1) -> tuple[Series, ...]:
        if not isinstance(self.numbers, array):
            raise TypeError("The row is shared already: it has its length.")
        first = len(self.numbers)
        self.numbers.extend([0.0] * (width * len(labels)))
        return tuple(Series(label, first + number * width) for number, label in enumerate(labels))

    def _add(self, family: Family) -> Family:
        self.families.append(family)
        return family

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
