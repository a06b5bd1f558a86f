"""What waits and runs for each tenant, and what ended lately, from the database.

Queued jobs come from the queue that the estimates of waits use; this module reads the tasks of started jobs. One
result, a few seconds old, serves all callers.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.jobs.wait_estimate import MAX_AGE_S, PAUSE_FACTOR, Queue, QueueReader
from shared.connections.tenancy import ALL_TENANTS
from shared.queue.task_costs import COMPRESSED_BYTES_A_SECOND

MOST_TENANTS = 200  # that are listed, and whose oldest task is looked up
MOST_ENDED = 200_000  # jobs that are counted, the newest ones

# Chunks and the ends of long files that wait, all tasks between two attempts, and running ones. The work of a chunk is
# its part of the file. A fetch of a source holds no slot: its job is still QUEUED.
STARTED = """
    WITH started AS (
        SELECT job_id, kind, state,
               CASE WHEN attempts + crashes = 0 THEN created_at ELSE dispatched_at END AS since
        FROM tasks WHERE state = 'dispatched' AND kind IN ('chunk', 'finish')
        UNION ALL
        SELECT job_id, kind, state, NULL FROM tasks WHERE state = 'waiting' AND kind <> 'deliver'
        UNION ALL
        SELECT job_id, kind, state, NULL FROM tasks WHERE state = 'running' AND kind <> 'deliver'
    )
    SELECT tenant, count(*) FILTER (WHERE state <> 'running') AS tasks,
           count(*) FILTER (WHERE state = 'running') AS running,
           coalesce(sum(CASE kind
               WHEN 'prepare' THEN coalesce(duration_s, source_bytes * $1::float)
               WHEN 'chunk' THEN duration_s / greatest(chunk_count, 1) END
           ) FILTER (WHERE state <> 'running'), 0)::float AS audio_s,
           coalesce(extract(epoch FROM now() - min(since)), 0)::float AS oldest_s
    FROM started JOIN jobs ON jobs.id = started.job_id WHERE status <> 'QUEUED' GROUP BY tenant
"""
# The first queued jobs of some tenants. The tasks of a redriven job are younger than its id.
OLDEST = """
    SELECT named.tenant, greatest(extract(epoch FROM now() - min(tasks.created_at)), 0)::float AS oldest_s
    FROM unnest($1::text[]) AS named (tenant)
    CROSS JOIN LATERAL (
        SELECT id FROM jobs WHERE jobs.tenant = named.tenant AND status = 'QUEUED' ORDER BY id LIMIT 10
    ) AS head
    JOIN tasks ON tasks.job_id = head.id AND tasks.state = 'dispatched'
    GROUP BY named.tenant
"""
ENDED = f"""
    SELECT count(*) FILTER (WHERE status = 'COMPLETED') AS completed,
           count(*) FILTER (WHERE status = 'FAILED') AS failed,
           coalesce(sum(duration_s) FILTER (WHERE status = 'COMPLETED'), 0)::float AS audio_s
    FROM (
        SELECT status, duration_s FROM jobs WHERE tenant = $1 AND completed_at > now() - interval '1 hour'
        ORDER BY completed_at DESC LIMIT {MOST_ENDED}
    ) AS ended
"""  # noqa: S608 - a constant
ENDED_BY_MINUTE = f"""
    SELECT floor(extract(epoch FROM completed_at) / 60)::bigint AS minute,
           count(*) FILTER (WHERE status = 'COMPLETED')::float AS jobs_completed,
           count(*) FILTER (WHERE status = 'FAILED')::float AS jobs_failed,
           coalesce(sum(duration_s) FILTER (WHERE status = 'COMPLETED'), 0)::float AS audio_seconds
    FROM (
        SELECT status, duration_s, completed_at FROM jobs
        WHERE tenant = $1 AND completed_at > now() - make_interval(hours => $2)
        ORDER BY completed_at DESC LIMIT {MOST_ENDED}
    ) AS ended GROUP BY minute
"""  # noqa: S608 - a constant
BY_MINUTE_NAMES = ("jobs_completed", "jobs_failed", "audio_seconds")


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits and runs for one tenant."""

    tenant: str
    tasks: int = 0
    running: int = 0
    audio_s: float = 0.0
    oldest_s: float = 0.0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of a tenant that ended in the last hour."""

    completed: int
    failed: int
    audio_s: float


class BacklogByTenant:
    """Reads the backlog, at most once in MAX_AGE_S, and the more rarely the longer it takes."""

    def __init__(self, database: Database, queue: QueueReader, processes: int) -> None:
        self._database = database
        self._queue = queue
        self._processes = processes
        self._lock = asyncio.Lock()
        self._due_s = float("-inf")
        self._last: tuple[Waiting, ...] | None = None

    async def read(self) -> tuple[Waiting, ...]:
        """Return all tenants with tasks, those with most audio first. Raise OutageError."""
        clock = asyncio.get_running_loop().time
        if self._lock.locked() and self._last is not None:
            return self._last  # another caller reads
        async with self._lock:
            began_s = clock()
            if self._last is None or began_s > self._due_s:
                self._last = await self._read()
                self._due_s = began_s + max(MAX_AGE_S, PAUSE_FACTOR * self._processes * (clock() - began_s))
        return self._last

    async def of(self, tenant: str) -> Waiting:
        """Return what waits for a tenant. Raise OutageError."""
        return next((one for one in await self.read() if one.tenant == tenant), Waiting(tenant=tenant))

    async def ended(self, tenant: str) -> Ended:
        """Return what ended of a tenant in the last hour. Raise OutageError."""
        row = await self._database.read(lambda connection: connection.fetchrow(ENDED, tenant), tenant)
        return Ended(completed=row["completed"], failed=row["failed"], audio_s=row["audio_s"])

    async def ended_by_minute(self, tenant: str, hours: int) -> dict[int, dict[str, float]]:
        """Return the same by minutes since the Unix epoch, named as BY_MINUTE_NAMES. Raise OutageError."""
        rows = await self._database.read(lambda connection: connection.fetch(ENDED_BY_MINUTE, tenant, hours), tenant)
        return {row["minute"]: {name: row[name] for name in BY_MINUTE_NAMES} for row in rows}

    async def _read(self) -> tuple[Waiting, ...]:
        queue = await self._queue.read()
        per_byte = queue.pace.audio_s_per_byte if queue.pace else 1 / COMPRESSED_BYTES_A_SECOND

        async def waiting_with_ages(connection: Any) -> tuple[Waiting, ...]:
            waiting = combined(queue, per_byte, await connection.fetch(STARTED, per_byte))
            oldest = await connection.fetch(OLDEST, [one.tenant for one in waiting[:MOST_TENANTS]])
            return with_ages(waiting, {row["tenant"]: row["oldest_s"] for row in oldest})

        return await self._database.read(waiting_with_ages, ALL_TENANTS)


def combined(queue: Queue, audio_s_per_byte: float, started: Iterable[Mapping[str, Any]]) -> tuple[Waiting, ...]:
    """Add the rows of STARTED to the queued jobs of their tenants. Most audio first."""
    of_started = {row["tenant"]: row for row in started}
    found = []
    for tenant in queue.queues.keys() | of_started.keys():
        queued = queue.queues[tenant].total if tenant in queue.queues else None
        row = of_started.get(tenant)
        found.append(
            Waiting(
                tenant=tenant,
                tasks=(queued.jobs if queued else 0) + (row["tasks"] if row else 0),
                running=row["running"] if row else 0,
                audio_s=(queued.bytes * audio_s_per_byte if queued else 0.0) + (row["audio_s"] if row else 0.0),
                oldest_s=row["oldest_s"] if row else 0.0,
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.audio_s, -one.tasks, one.tenant)))


def with_ages(waiting: Iterable[Waiting], queued_s: Mapping[str, float]) -> tuple[Waiting, ...]:
    """Return the same with the age of the oldest task of both kinds."""
    return tuple(
        msgspec.structs.replace(one, oldest_s=max(one.oldest_s, queued_s.get(one.tenant, 0.0))) for one in waiting
    )
