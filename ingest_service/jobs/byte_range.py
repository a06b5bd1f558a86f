"""Parses the Range header of a request for one blob (RFC 9110 section 14): one range, or all of it."""

import re

from ingest_service.errors import RefusedError

ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


class RangeNotSatisfiableError(RefusedError):
    """The range begins behind the end; the answer names the size."""

    def __init__(self, size: int) -> None:
        super().__init__("range_not_satisfiable", f"There are {size} bytes.")
        self.size = size


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """`(start, end)`, end exclusive, or None to send all: also for several ranges and what cannot be read.

    Raises RangeNotSatisfiableError when none of the bytes asked for exist.
    """
    match = ONE_RANGE.fullmatch(header or "")
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first and last and int(first) > int(last):
        return None  # the RFC calls such a header invalid, and to be ignored
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise RangeNotSatisfiableError(size)
    return start, end
