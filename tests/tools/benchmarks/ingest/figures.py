"""The figures of a contender's runs under one load, and their ratios per repeat."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

import msgspec

from tests.tools.benchmarks.ingest.run_once import Measured

MB = 1e6
Rates = Sequence[float | None]  # uploads per second of each repeat, None for one that failed


class RunFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Latencies are None when nothing was accepted; CPU is in seconds of one core."""

    uploads_per_s: float
    mb_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    accepted: int
    errors: dict[str, int]
    faults: dict[str, int]
    most_open: int
    processes: int
    peak_mb: float
    growth_mb: float
    server_cpu_s: float
    storage_cpu_s: float
    generator_cpu_s: float
    generator_share: float  # of one core
    wall_s: float


class Ratio(NamedTuple):
    """Ratio of uploads per second, with the spread over the repeats."""

    median: float
    least: float
    most: float


def run_figures(run: Measured) -> RunFigures:
    outcome = run.outcome
    wall_s = max(outcome.ended_s - outcome.started_s, 1e-9)
    latencies_ms = sorted(1000 * latency for latency in outcome.latencies_s)
    rate = len(outcome.accepted) / wall_s
    return RunFigures(
        uploads_per_s=round(rate, 3),
        mb_per_s=round(rate * run.audio_bytes / MB, 2),
        p50_ms=percentile(latencies_ms, 50),
        p99_ms=percentile(latencies_ms, 99),
        max_ms=percentile(latencies_ms, 100),
        accepted=len(outcome.accepted),
        errors=outcome.errors,
        faults=run.faults,
        most_open=outcome.most_open,
        processes=run.processes,
        peak_mb=round(run.peak_bytes / MB, 1),
        growth_mb=round(run.growth_bytes / MB, 1),
        server_cpu_s=round(run.server_cpu_s, 2),
        storage_cpu_s=round(run.storage_cpu_s, 2),
        generator_cpu_s=round(outcome.cpu_s, 2),
        generator_share=round(outcome.cpu_s / wall_s, 3),
        wall_s=round(wall_s, 3),
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Return the percentile by nearest rank; None for an empty sequence."""
    return round(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)], 2) if ordered else None


def ratio(rates: Rates, others: Rates) -> Ratio | None:
    """Compare two contenders per repeat; None when they share no successful repeat."""
    both = [(rate, other) for rate, other in zip(rates, others, strict=False) if rate is not None and other]
    found = sorted(rate / other for rate, other in both)
    return Ratio(*(round(value, 3) for value in (median(found), found[0], found[-1]))) if found else None


def fastest(contenders: Iterable[Rates]) -> Rates:
    """Return the rates of the contender with the highest median; empty without contenders."""
    return max(contenders, key=lambda rates: median([rate or 0.0 for rate in rates] or [0.0]), default=())


def middle(runs: Sequence[RunFigures], field: str) -> float | None:
    """Return the median of a figure over the runs that have it."""
    values = [value for run in runs if (value := getattr(run, field)) is not None]
    return median(values) if values else None


def totals(runs: Sequence[RunFigures], field: str) -> dict[str, int]:
    """Return the sum of the errors or faults of all runs."""
    return dict(sum((Counter(getattr(run, field)) for run in runs), Counter()))
