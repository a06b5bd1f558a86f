"""Estimates how long a QUEUED job waits for its work to begin, from how the last ones went.

Audio that is ahead of it, over the audio that the fleet finished in a second of work. What is ahead of it is up to
fair shares: `queue_lines`. The length of audio that nobody has decoded yet is guessed from its bytes, so this is an
estimate and no promise; where nothing is known it is none.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ingest_service.database import Database
from shared.connections.tenancy import ALL_TENANTS

# Where a job stands when tenants get fair shares, told from its own tenant's line and those of the others.
#
# While it moves up by so many bytes, every other line does, too, as far as it is that long. This is the order of
# `shared.queue.fair_shares` as if shares were dealt from now on: what Redis knows of turns taken is not asked for.

# Of each tenant what waits: the jobs that nobody has begun with, and what no slot has of long files that are under way.
LINES = """
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


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What waits of one tenant. Of a URL that was not fetched no bytes are known."""

    tenant: str
    jobs: int
    bytes: float  # of those jobs
    chunk_bytes: float  # of chunks; other jobs of the tenant go in between


class Place(msgspec.Struct, frozen=True):
    """A queued job's place, from 1, and how much work begins before its own."""

    position: int
    bytes_ahead: float


def lines_of(rows: Iterable[Any]) -> tuple[Line, ...]:
    """The lines in the rows of LINES."""
    return tuple(Line(**row) for row in rows)


def place_among(lines: Sequence[Line], tenant: str, jobs_ahead: int, bytes_ahead: float) -> Place:
    """The place of a job that has so many jobs, and bytes, of its own tenant ahead of it."""
    jobs, all_bytes = float(jobs_ahead), bytes_ahead
    for line in lines:
        if line.tenant == tenant:
            all_bytes += min(line.chunk_bytes, bytes_ahead)
            continue
        jobs += line.jobs * _part(line.bytes, bytes_ahead)
        all_bytes += min(line.bytes + line.chunk_bytes, bytes_ahead)
    return Place(1 + int(jobs), all_bytes)


def _part(line_bytes: float, passed: float) -> float:
    """How much of a line has had its turn once so many bytes of it may have had."""
    if passed <= 0:
        return 0
    return 1 if line_bytes <= passed else passed / line_bytes


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
