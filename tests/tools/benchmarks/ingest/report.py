"""The figures of all runs as a table and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.tools.benchmarks.ingest.figures import Rates, Ratio, RunFigures, fastest, middle, ratio, totals

Runs = Mapping[str, Sequence[RunFigures | None]]  # repeats by contender; None for a failed one
USUAL, BARE = "usual", "bare"
COLUMNS = (
    ("uploads/s", "uploads_per_s", 1),
    ("MB/s", "mb_per_s", 1),
    ("p50 ms", "p50_ms", 1),
    ("p99 ms", "p99_ms", 1),
    ("max ms", "max_ms", 1),
    ("open", "most_open", 0),
    ("peak MB", "peak_mb", 0),
    ("growth MB", "growth_mb", 1),
    ("server CPU s", "server_cpu_s", 1),
    ("storage CPU s", "storage_cpu_s", 1),
    ("generator CPU s", "generator_cpu_s", 1),
    ("of a core", "generator_share", 2),
)
HEAD = ("contender", *(title for title, _, _ in COLUMNS), "errors", "faults", "x usual", "x bare")


def table(runs: Runs) -> str:
    """Format one load: medians of the repeats, sums of errors and faults; dashes for a contender without runs."""
    rows = [HEAD, *(_row(name, _done(each), ratios(name, runs)) for name, each in runs.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if index else cell.ljust(width) for index, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in rows)
    )


def as_json(runs: Runs) -> dict[str, Any]:
    """Return the medians, ratios and runs by contender."""
    return {name: _entry(name, _done(each), ratios(name, runs)) for name, each in runs.items()}


def ratios(name: str, runs: Runs) -> dict[str, Ratio | None]:
    """Return the ratios to the faster usual stack and to the bare server."""
    rates = {other: _rates(each) for other, each in runs.items()}
    usual = fastest([each for other, each in rates.items() if other.startswith(USUAL)])
    return {USUAL: ratio(rates[name], usual), BARE: ratio(rates[name], rates.get(BARE, ()))}


def _rates(runs: Sequence[RunFigures | None]) -> Rates:
    return [run.uploads_per_s if run else None for run in runs]


def _done(runs: Sequence[RunFigures | None]) -> list[RunFigures]:
    return [run for run in runs if run]


def _row(name: str, runs: Sequence[RunFigures], compared: Mapping[str, Ratio | None]) -> tuple[str, ...]:
    figures = (_number(middle(runs, field), digits) for _, field, digits in COLUMNS)
    counts = (str(sum(totals(runs, field).values())) if runs else "-" for field in ("errors", "faults"))
    return (name, *figures, *counts, _spread(compared[USUAL]), _spread(compared[BARE]))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _spread(value: Ratio | None) -> str:
    return "-" if value is None else f"{value.median:.2f} ({value.least:.2f}-{value.most:.2f})"


def _entry(name: str, runs: Sequence[RunFigures], compared: Mapping[str, Ratio | None]) -> dict[str, Any]:
    return {
        "contender": name,
        "medians": {field: middle(runs, field) for _, field, _ in COLUMNS},
        "errors": totals(runs, "errors"),
        "faults": totals(runs, "faults"),
        "ratios": {other: value._asdict() if value else None for other, value in compared.items()},
        "runs": msgspec.to_builtins(runs),
    }
