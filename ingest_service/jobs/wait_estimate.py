"""Estimates how long a QUEUED job waits before its work starts, from how long recent jobs took.

Estimate: the audio ahead of it, over the audio that the fleet finishes in a second of work. Fair shares decide what is
ahead: `shared.queue.fair_queue.position_among`. The length of audio that is not decoded yet is guessed from its bytes.
Without recent jobs there is no estimate.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from ingest_service.database import Database
from shared.connections.tenancy import ALL_TENANTS
from shared.queue.fair_queue import Backlog

# What waits for each tenant: jobs that no worker has started, and the chunks of started long files that no slot has.
BACKLOGS = """
    WITH running AS (
        SELECT job_id, count(*) AS tasks FROM tasks WHERE state = 'running' AND kind = 'chunk' GROUP BY job_id
    ), waiting AS (
        SELECT tenant, 1 AS jobs, coalesce(source_bytes, 0)::float AS bytes, 0 AS chunk_bytes
        FROM jobs WHERE status = 'QUEUED'
        UNION ALL
        SELECT tenant, 0, 0, source_bytes * greatest(0, chunk_count - chunks_done - tasks)::float / chunk_count
        FROM jobs JOIN running ON jobs.id = running.job_id WHERE chunk_count > 0
    )
    SELECT tenant, sum(jobs) AS jobs, sum(bytes) AS bytes, coalesce(sum(chunk_bytes), 0) AS chunk_bytes
    FROM waiting GROUP BY tenant
"""


def backlogs_of(rows: Iterable[Any]) -> tuple[Backlog, ...]:
    """Convert the rows of BACKLOGS."""
    return tuple(Backlog(**row) for row in rows)


MAX_AGE_S = 5.0  # of the cached queue: each poll of each waiting client asks for it

# `busy_s` is the time in which at least one of the recent jobs ran: the union of their spans.
# `at_work`: a task runs, or a job finished less than a minute ago.
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
    """The throughput of all processors, and their running work. Seconds are of audio, except `wall_s`."""

    audio_s_per_wall_s: float
    audio_s_per_byte: float
    left_s: float  # of running tasks


def pace_of(row: Any) -> Pace | None:
    """Return the pace in a row of PACE. Return None if no job finished recently or no processor works."""
    if not row["at_work"] or not row["busy_s"] or not row["bytes"]:
        return None
    per_byte = row["audio_s"] / row["bytes"]
    left_s = row["left_s"] + row["left_bytes"] * per_byte
    return Pace(audio_s_per_wall_s=row["audio_s"] / row["busy_s"], audio_s_per_byte=per_byte, left_s=left_s)


def estimated_wait_s(pace: Pace | None, bytes_ahead: float) -> float | None:
    """Return how long a job with `bytes_ahead` in the queue waits."""
    if pace is None:
        return None
    return round((pace.left_s + bytes_ahead * pace.audio_s_per_byte) / pace.audio_s_per_wall_s, 1)


class Queue(msgspec.Struct, frozen=True):
    """The facts from which positions and waits are estimated."""

    pace: Pace | None
    backlogs: tuple[Backlog, ...]


class QueueReader:
    """Reads the queue, at most once in MAX_AGE_S."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue = Queue(None, ())
        self._read_at_s = float("-inf")

    async def read(self) -> Queue:
        """Return the queue, up to MAX_AGE_S old. Raise OutageError."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._read_at_s > MAX_AGE_S:
            self._read_at_s = now_s  # before the query: concurrent calls use the last result
            async with self._database.reading(ALL_TENANTS) as connection:
                pace = pace_of(await connection.fetchrow(PACE))
                self._queue = Queue(pace, backlogs_of(await connection.fetch(BACKLOGS)))
        return self._queue
