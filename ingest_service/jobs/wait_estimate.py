"""Estimates how long a QUEUED job waits before its work starts, from how long recent jobs took.

Estimate: the audio ahead of it, over the audio that the fleet finishes in a second of work. Fair shares decide what is
ahead: `shared.queue.backlogs`. The length of audio that is not decoded yet is guessed from its bytes.
Without recent jobs there is no estimate.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from ingest_service.database import Database
from shared.connections.tenancy import ALL_TENANTS
from shared.queue.backlogs import Backlog, Backlogs, QueuedWork, QueuePosition
from shared.queue.fair_shares import INTERACTIVE_AHEAD_S, credit_rate
from shared.queue.task_costs import COMPRESSED_BYTES_A_SECOND

EXACT_JOBS = 200  # of a tenant's queue, the next ones first; the positions of others are estimated

# Jobs that no worker has started, by tenant and by the 17 minutes in which they were submitted: the first digits of
# their ids. Reads the whole queue from an index, so QueueReader does it rarely when the queue is long. Each statement
# also has a form for the jobs of one named queue, which reads the rows.
QUEUED = """
    SELECT tenant, count(*) AS jobs, sum(coalesce(source_bytes, 0))::float AS bytes,
           min(id::text)::uuid AS first_id, max(id::text)::uuid AS last_id
    FROM jobs WHERE status = 'QUEUED' /* of one queue */ GROUP BY tenant, left(id::text, 7)
"""
# The jobs of these that clients wait for; usually few.
INTERACTIVE = """
    SELECT tenant, count(*) AS jobs, sum(coalesce(source_bytes, 0))::float AS bytes
    FROM jobs WHERE status = 'QUEUED' AND interactive /* of one queue */ GROUP BY tenant
"""
# The chunks of started long files that no slot has.
CHUNKS = """
    WITH running AS (
        SELECT job_id, count(*) AS tasks FROM tasks WHERE state = 'running' AND kind = 'chunk' GROUP BY job_id
    )
    SELECT tenant, sum(source_bytes * greatest(0, chunk_count - chunks_done - tasks)::float / chunk_count) AS bytes
    FROM jobs JOIN running ON jobs.id = running.job_id WHERE chunk_count > 0 /* of one queue */ GROUP BY tenant
"""


class Ahead(NamedTuple):
    """Queued work of the same tenant."""

    jobs: int
    bytes: float


class Span(NamedTuple):
    """Consecutive queued jobs of a tenant, by id, and what is ahead of them."""

    first_id: int
    last_id: int
    jobs: int
    bytes: float
    ahead: Ahead


class TenantQueue:
    """The queued jobs of one tenant."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self.spans: list[Span] = []
        self.total = Ahead(0, 0.0)
        for row in sorted(rows, key=lambda row: row["first_id"].int):
            jobs, size = row["jobs"], row["bytes"] or 0.0
            self.spans.append(Span(row["first_id"].int, row["last_id"].int, jobs, size, self.total))
            self.total = Ahead(self.total.jobs + jobs, self.total.bytes + size)

    def ahead_of(self, job_id: UUID) -> Ahead:
        """Estimate what is ahead of a job: in its span, jobs are assumed to be evenly distributed."""
        at = bisect_right(self.spans, job_id.int, key=lambda span: span.first_id) - 1
        if at < 0:
            return Ahead(0, 0.0)
        span = self.spans[at]
        part = min(1.0, (job_id.int - span.first_id) / max(1, span.last_id - span.first_id))
        return Ahead(span.ahead.jobs + int(part * span.jobs), span.ahead.bytes + part * span.bytes)


def queues_of(rows: Iterable[Any]) -> dict[str, TenantQueue]:
    """Convert the rows of QUEUED."""
    of_tenant: dict[str, list[Any]] = {}
    for row in rows:
        of_tenant.setdefault(row["tenant"], []).append(row)
    return {tenant: TenantQueue(spans) for tenant, spans in of_tenant.items()}


def work_of(
    queues: Mapping[str, TenantQueue], chunks: Iterable[Any], interactive: Sequence[Any], share: float
) -> QueuedWork:
    """Combine the queues with the rows of CHUNKS and INTERACTIVE."""
    urgent = [Backlog(tenant=row["tenant"], jobs=row["jobs"], bytes=row["bytes"], chunk_bytes=0) for row in interactive]
    totals = {tenant: queue.total for tenant, queue in queues.items()}
    for one in urgent:
        jobs, size = totals.get(one.tenant, Ahead(0, 0.0))
        totals[one.tenant] = Ahead(max(0, jobs - one.jobs), max(0.0, size - one.bytes))
    return QueuedWork(
        backlog=_backlogs_of(totals, {row["tenant"]: row["bytes"] or 0.0 for row in chunks}),
        interactive=Backlogs(urgent),
        rate=credit_rate(share),
    )


def _backlogs_of(totals: Mapping[str, Ahead], chunk_bytes: Mapping[str, float]) -> Backlogs:
    return Backlogs(
        Backlog(tenant=tenant, jobs=total.jobs, bytes=total.bytes, chunk_bytes=chunk_bytes.get(tenant, 0.0))
        for tenant in totals.keys() | chunk_bytes.keys()
        for total in (totals.get(tenant, Ahead(0, 0.0)),)
    )


MAX_AGE_S = 5.0  # of the cached queue: each poll of each waiting client asks for it
PAUSE_FACTOR = 20.0  # a long queue is read less often: all processes together use a twentieth of one connection

# `busy_s` is the time in which at least one of the recent jobs ran: the union of their spans.
# `at_work`: a task runs, or a job finished less than a minute ago.
PACE = """
    WITH recent AS (
        SELECT started_at, completed_at, duration_s, source_bytes FROM jobs
        WHERE erased_at IS NULL AND status = 'COMPLETED' AND completed_at > now() - interval '1 hour'
            AND started_at IS NOT NULL AND duration_s > 0 /* of one queue */
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
        WHERE state = 'running' AND kind NOT IN ('summarize', 'deliver') GROUP BY job_id
    ), underway AS (
        SELECT duration_s, source_bytes,
               CASE WHEN chunk_count > 1 THEN tasks::float / chunk_count ELSE 1 - progress END AS part_left
        FROM jobs JOIN running ON jobs.id = running.job_id
        WHERE status <> 'QUEUED' /* else its source is only fetched */ /* of one queue */
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

    pace: Pace | None = None
    work: QueuedWork = QueuedWork()
    queues: Mapping[str, TenantQueue] = {}

    def position(self, tenant: str, jobs_ahead: int, bytes_ahead: float, *, interactive: bool) -> QueuePosition:
        """Estimate the position of a job that has so much of its tenant and class ahead of it."""
        per_byte = self.pace.audio_s_per_byte if self.pace else 1 / COMPRESSED_BYTES_A_SECOND
        lead_bytes = INTERACTIVE_AHEAD_S / per_byte
        return self.work.position(tenant, jobs_ahead, bytes_ahead, interactive=interactive, lead_bytes=lead_bytes)

    def ahead_of(self, tenant: str, job_id: UUID, *, interactive: bool = False) -> Ahead:
        """Estimate what of its tenant and class is ahead of a job that is not among the next EXACT_JOBS."""
        if interactive:
            urgent = self.work.interactive.of(tenant)
            return Ahead(max(EXACT_JOBS, urgent.jobs - 1), urgent.bytes)
        queue = self.queues.get(tenant)
        estimated = queue.ahead_of(job_id) if queue else Ahead(0, 0.0)
        return estimated._replace(jobs=max(EXACT_JOBS, estimated.jobs))


class QueueReader:
    """Reads the queue, at most once in MAX_AGE_S."""

    def __init__(self, database: Database, processes: int, interactive_share: float) -> None:
        self._database = database
        self._share = interactive_share
        self._processes = processes
        self._queues: dict[str | None, Queue] = {}
        self._due_s: dict[str | None, float] = {}

    async def read(self, name: str | None = None) -> Queue:
        """Return a named queue, or all queues as one, MAX_AGE_S old, or older if it takes long. Raise OutageError."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        if began_s > self._due_s.get(name, float("-inf")):
            self._due_s[name] = began_s + MAX_AGE_S  # before the query: concurrent calls use the last result
            try:
                self._queues[name] = await self._read(name)
            finally:
                self._due_s[name] = began_s + max(MAX_AGE_S, PAUSE_FACTOR * self._processes * (clock() - began_s))
        return self._queues.get(name, Queue())

    async def _read(self, name: str | None) -> Queue:
        return await self._database.read(partial(self._read_on, name=name), ALL_TENANTS)

    async def _read_on(self, connection: Any, name: str | None) -> Queue:
        arguments = () if name is None else (name,)
        pace, queued, interactive, chunks = (_of_queue(one, name) for one in (PACE, QUEUED, INTERACTIVE, CHUNKS))
        found = pace_of(await connection.fetchrow(pace, *arguments))
        queues = queues_of(await connection.fetch(queued, *arguments))
        urgent = await connection.fetch(interactive, *arguments)
        return Queue(found, work_of(queues, await connection.fetch(chunks, *arguments), urgent, self._share), queues)


def _of_queue(statement: str, name: str | None) -> str:
    """Return a statement for all queues, or for one."""
    return statement if name is None else statement.replace("/* of one queue */", "AND queue = $1")
