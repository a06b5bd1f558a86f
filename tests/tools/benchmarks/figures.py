"""The figures of the runs of a contender, and the table of all contenders."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec

from tests.tools.benchmarks.contend import Result

COLUMNS = ("contender", "s", "x real time", "x baseline", "WER %", "CPU s", "peak MB", "load s")
MB = 1e6


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of times and the maximum of memory. `word_error_rate` is None without a reference."""

    run_s: float
    cpu_s: float  # of all cores; hardly depends on other load of the machine
    load_s: float
    times_real_time: float
    times_baseline: float | None
    word_error_rate: float | None
    peak_bytes: int
    runs_s: tuple[float, ...]


def figures(
    results: Sequence[Result], duration_s: float, baseline_s: float | None, word_error_rate: float | None
) -> Figures:
    run_s = median(result.run_s for result in results)
    return Figures(
        run_s=round(run_s, 2),
        cpu_s=round(median(result.cpu_s for result in results), 2),
        load_s=round(median(result.load_s for result in results), 2),
        times_real_time=round(duration_s / run_s, 1),
        times_baseline=round(baseline_s / run_s, 2) if baseline_s else None,
        word_error_rate=word_error_rate,
        peak_bytes=max(result.peak_bytes for result in results),
        runs_s=tuple(round(result.run_s, 2) for result in results),
    )


def table(rows: dict[str, Figures | str]) -> str:
    """The table as text. A contender without figures has the reason instead."""
    cells = [list(COLUMNS), *(_row(name, found) for name, found in rows.items())]
    widths = [max(len(row[column]) for row in cells if len(row) > 2) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) if number == 0 else cell.rjust(width) for number, (cell, width) in enumerate(row))
        for row in ([*zip(row, widths, strict=False)] for row in cells)
    )


def _row(name: str, found: Figures | str) -> list[str]:
    if isinstance(found, str):
        return [name, found]
    error = None if found.word_error_rate is None else 100 * found.word_error_rate
    return [
        name,
        f"{found.run_s:.1f}",
        f"{found.times_real_time:.1f}",
        _number(found.times_baseline),
        _number(error),
        f"{found.cpu_s:.1f}",
        f"{found.peak_bytes / MB:.0f}",
        f"{found.load_s:.1f}",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def as_json(rows: dict[str, Figures | str]) -> dict[str, Any]:
    return {name: found if isinstance(found, str) else msgspec.to_builtins(found) for name, found in rows.items()}
