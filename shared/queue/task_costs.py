"""The cost of a task in the queue: seconds of audio, guessed from the bytes until the audio is decoded.

Costs only order the queue. A wrong guess is corrected when the audio is decoded (`fair_shares.correct_cost`).
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

from shared.schemas.states import TaskKind

LONGEST_WHOLE_S = 1800  # a file up to this length may be done by prepare alone; a longer one is only decoded there
UNKNOWN_S = 300  # a source that is not downloaded yet
FETCH_COST_S = 1  # in a queue of its own; the audio is charged when it is there
FINISH_S = 5
# 16 kHz mono: half of 64,000; CD: three times.
BYTES_A_SECOND = dict.fromkeys(("wav", "rf64", "w64", "aiff", "au", "caf"), 64_000)
BYTES_A_SECOND |= dict.fromkeys(("flac", "wavpack"), 40_000)
BYTES_A_SECOND |= dict.fromkeys(("mp4", "mov", "mkv", "webm", "avi", "mpegts", "mpegps", "flv", "asf"), 100_000)
COMPRESSED_BYTES_A_SECOND = 12_000
COLUMNS = ("source_bytes", "container", "duration_s", "chunk_count")
# Of a job: its source is at a URL, and not stored yet.
TO_FETCH = "(source_url IS NOT NULL AND source_sha256 IS NULL)"


def cost_s(
    kind: TaskKind,
    *,
    source_bytes: int | None = None,
    container: str | None = None,
    duration_s: float | None = None,
    chunk_count: int = 0,
) -> int:
    """Return the cost of a task, at least 1, from what is known about its job."""
    if kind in (TaskKind.DELIVER, TaskKind.SUMMARIZE):
        return 1
    if kind is TaskKind.FINISH:
        return FINISH_S
    whole_s = duration_s or guess_s(source_bytes, container)
    if kind is TaskKind.CHUNK:
        return _at_least_one(whole_s / max(1, chunk_count))
    return _at_least_one(min(whole_s, LONGEST_WHOLE_S))


def cost_of_row(kind: TaskKind, row: Mapping[str, Any]) -> int:
    """Return the cost of a task, from a row with these columns of its job."""
    return FETCH_COST_S if is_fetch(kind, row) else cost_s(kind, **{name: row[name] for name in COLUMNS})


def is_fetch(kind: TaskKind, row: Mapping[str, Any]) -> bool:
    """Return whether a task begins by fetching its source, from the same row."""
    return kind is TaskKind.PREPARE and row["to_fetch"]


def guess_s(source_bytes: int | None, container: str | None) -> float:
    """Guess the seconds of audio in a source that is not decoded yet."""
    if source_bytes is None:
        return UNKNOWN_S
    return source_bytes / BYTES_A_SECOND.get(container or "", COMPRESSED_BYTES_A_SECOND)


def _at_least_one(seconds: float) -> int:
    return max(1, ceil(seconds))
