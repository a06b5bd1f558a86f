"""The plots of docs/scaling.md, as small SVG files. Equal figures give equal files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

from matplotlib.figure import Figure

from tests.tools.benchmarks.scaling.forecast import Day, Forecast, Wait
from tests.tools.benchmarks.scaling.measured import Measured
from tests.tools.benchmarks.scaling.sizing import LOADS, parts
from tests.tools.benchmarks.scaling.tables import DOCUMENT

FOLDER = DOCUMENT.parent / "scaling"
FONT_SIZE = 9
STABLE: Any = {"svg.hashsalt": "headrace", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": FONT_SIZE}
NO_DATE: dict[str, Any] = {"Date": None}
OUTSIDE: Any = {"frameon": False, "loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
BLUE, ORANGE, GREEN = "#3465a4", "#ce5c00", "#4e9a06"


def draw(measured: Measured, found: Forecast, folder: Path = FOLDER) -> list[Path]:
    """Draw all plots into the folder and return their paths."""
    folder.mkdir(exist_ok=True)
    with mpl.rc_context(STABLE):
        drawn = {
            "runs": _runs(measured),
            "ends": _ends(measured),
            "waits": _waits(found.waits),
            "day": _day(found.days),
        }
        return [_saved(figure, folder / f"{name}.svg") for name, figure in drawn.items()]


def _saved(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata=NO_DATE, bbox_inches="tight")
    text = path.read_text()
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    return path


def _runs(measured: Measured) -> Figure:
    """Compare measured and simulated makespans."""
    figure = Figure(figsize=(6.4, 2.4))
    axes = figure.subplots()
    rows = range(len(measured.runs))
    axes.barh([row + 0.2 for row in rows], [run.measured_makespan_s for run in measured.runs], 0.38, color=BLUE)
    axes.barh([row - 0.2 for row in rows], [run.simulated_makespan_s for run in measured.runs], 0.38, color=ORANGE)
    axes.set_yticks(list(rows), [run.name for run in measured.runs])
    axes.invert_yaxis()
    axes.set_xlabel("makespan, s")
    axes.legend(["measured", "simulated"], **OUTSIDE)
    return figure


def _ends(measured: Measured) -> Figure:
    """Show how many of each part the two loads need."""
    figure = Figure(figsize=(6.4, 4.0))
    axes = figure.subplots()
    names = [part.name for part in parts(LOADS[0], measured)]
    for load, color, offset in zip(LOADS, (BLUE, ORANGE), (-0.2, 0.2), strict=True):
        found = {part.name: part.need / part.end for part in parts(load, measured)}
        axes.barh([row + offset for row in range(len(names))], [found[name] for name in names], 0.38, color=color)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("needed, in units of one part's capacity")
    axes.legend(["one part", *(load.name for load in LOADS)], frameon=False, loc="lower right")
    return figure


def _waits(waits: Sequence[Wait]) -> Figure:
    """Show waits by the number of slots, for both loads."""
    figure = Figure(figsize=(6.4, 3.0))
    axes = figure.subplots()
    for load, color in zip(LOADS, (BLUE, ORANGE), strict=True):
        points = [one for one in waits if one.load == load.name]
        ratios = [one.ratio for one in points]
        axes.plot(ratios, [one.p95_s for one in points], color=color, marker="o", label=f"{load.name}, p95")
        axes.plot(ratios, [one.mean_s for one in points], color=color, linestyle="--", label="… mean")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_xlabel("slots per slot that is busy on average")
    axes.set_ylabel("wait for the first claim, s")
    axes.legend(**OUTSIDE)
    return figure


def _day(days: Sequence[Day]) -> Figure:
    """Show the backlog of a day."""
    figure = Figure(figsize=(6.4, 2.6))
    axes = figure.subplots()
    for one, color in zip(days, (BLUE, ORANGE, GREEN), strict=True):
        hours, waiting_s = zip(*one.backlog, strict=True)
        axes.plot(
            hours,
            [each / 60 for each in waiting_s],
            color=color,
            label=f"slots for {100 * one.of_peak:.0f} % of the peak",
        )
    axes.set_xlabel("hour of the day")
    axes.set_ylabel("backlog, minutes of all slots")
    axes.set_xlim(0, 30)
    axes.legend(frameon=False)
    return figure
