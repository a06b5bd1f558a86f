"""Estimates how long a QUEUED job waits for its work to begin, from how the last ones went.

Audio that is ahead of it, over the audio that the fleet finished in a second of work. What is ahead of it is up to
fair shares: `queue_lines`. The length of audio that nobody has decoded yet is guessed from its bytes, so this is an
estimate and no promise; where nothing is known it is none.
"""

import asyncio
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.jobs.queue_lines import LINES, Line, lines_of
from shared.connections.tenancy import ALL_TENANTS

FRESH_S = 5.0  # how long the pace is good for: it is asked for by every poll of a client that waits

# `busy_s` is the time in which at least one of the recent jobs was worked on: their spans, laid over each other.
# The fleet is at work when it holds a task, or finished one a moment ago.
PACE = """
    WITH recent AS (
        SELECT started_at, completed_at, duration_s, source_bytes FROM jobs
        WHERE erased_at IS NULL AND status = 'COMPLETED' AND completed_at > now() - interval '1 hour'
            AND started_at IS NOT NULL AND duration_s > 0
        ORDER BY completed_at DESC LIMIT 200
    ), in_order AS (
        SELECT *, max(completed_at) OVER (
            ORDER BY started_at, completed_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS busy_until
        FROM recent
    ), done AS (
        SELECT sum(duration_s) AS audio_s, sum(source_bytes) AS bytes, max(completed_at) AS last_at,
               sum(extract(epoch FROM greatest(completed_at, busy_until) - greatest(started_at, busy_until))) AS busy_s
        FROM in_order
    ), running AS (
        SELECT job_id, count(*) AS tasks, avg(progress) AS progress FROM tasks
        WHERE state = 'running' AND kind <> 'deliver' GROUP BY job_id
    ), underway AS (
        SELECT duration_s, source_bytes,
               CASE WHEN chunk_count > 1 THEN tasks::float / chunk_count ELSE 1 - progress END AS part_left
        FROM jobs JOIN running ON jobs.id = running.job_id
    )
    SELECT audio_s::float, bytes::float, busy_s::float,
           (SELECT coalesce(sum(duration_s * part_left), 0) FROM underway)::float AS left_s,
           (SELECT coalesce(sum(source_bytes * part_left), 0) FROM underway WHERE duration_s IS NULL)::float
               AS left_bytes,
           (last_at > now() - interval '1 minute' OR EXISTS (SELECT 1 FROM underway)) AS at_work
    FROM done
"""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast the fleet works, and what it has on its hands; seconds are of audio but where `wall` says otherwise."""

    audio_s_per_wall_s: float
    audio_s_per_byte: float
    left_s: float  # of the tasks that are being worked on


def pace_of(row: Any) -> Pace | None:
    """The pace in a row of PACE; None when nothing was finished lately, or nobody is at work."""
    if not row["at_work"] or not row["busy_s"] or not row["bytes"]:
        return None
    per_byte = row["audio_s"] / row["bytes"]
    left_s = row["left_s"] + row["left_bytes"] * per_byte
    return Pace(audio_s_per_wall_s=row["audio_s"] / row["busy_s"], audio_s_per_byte=per_byte, left_s=left_s)


def estimated_wait_s(pace: Pace | None, bytes_ahead: float) -> float | None:
    """How long a job waits that has so many bytes of others before it in the queue."""
    if pace is None:
        return None
    return round((pace.left_s + bytes_ahead * pace.audio_s_per_byte) / pace.audio_s_per_wall_s, 1)


class Queue(msgspec.Struct, frozen=True):
    """What a job's place and its wait are told from."""

    pace: Pace | None
    lines: tuple[Line, ...]


class QueueReader:
    """The queue, read every few seconds at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue = Queue(None, ())
        self._asked_at_s = float("-inf")

    async def read(self) -> Queue:
        """The queue of now, or of a moment ago. Raises OutageError."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_at_s > FRESH_S:
            self._asked_at_s = now_s  # first: those who come meanwhile go by the last answer
            async with self._database.reading(ALL_TENANTS) as connection:
                pace = pace_of(await connection.fetchrow(PACE))
                self._queue = Queue(pace, lines_of(await connection.fetch(LINES)))
        return self._queue
