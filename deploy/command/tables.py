"""Text for people: aligned columns and short times. Pure."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from deploy.command.sources import printable

GAP = "  "


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return aligned columns. Nothing is cut, so that ids can be copied and lines can be searched."""
    cells = [list(head), *([show(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def show(value: Any) -> str:
    """Return a value as a person reads it."""
    match value:
        case None:
            return "-"
        case dt.datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return f"{value:.1f}"
        case list() | tuple():
            return printable(",".join(map(str, value))) or "-"
        case _:
            return printable(str(value))


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"
