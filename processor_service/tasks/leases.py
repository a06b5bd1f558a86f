"""Leases: a claim makes a task ours for a while, a heartbeat keeps it so, a token fences every later write.

The clock is Postgres' own. A worker whose heartbeat finds a lease gone stops that work at once and writes nothing.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from processor_service.errors import ChildCrashError, TransientError, failure_of
from processor_service.tasks.outcomes import Crashed, Failed, Interrupted, LeaseLost, Outcome
from processor_service.telemetry.metrics import RUNNING
from shared.failpoints import failpoint
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.states import TaskKind
from shared.schemas.transcript import ResultWarning
from shared.telemetry.logs import Log

log = Log(__name__)

# A job that is QUEUED becomes PROCESSING with its first claim, and is locked before the task, as everywhere; later
# siblings never wait for the job's row here.
CLAIM = """
WITH queued AS (
    SELECT id FROM jobs WHERE id = (SELECT job_id FROM tasks WHERE id = $1) AND status = 'QUEUED' FOR UPDATE
), claimed AS (
    UPDATE tasks
    SET state = 'running', lease_token = lease_token + 1, leased_by = $3, progress = 0,
        lease_expires_at = now() + make_interval(secs => $4), started_at = now()
    WHERE id = $1 AND dispatch_no = $2 AND state = 'dispatched' AND (SELECT count(*) FROM queued) >= 0
    RETURNING *
), started AS (
    UPDATE jobs SET status = 'PROCESSING', started_at = coalesce(started_at, now())
    WHERE id = (SELECT job_id FROM claimed WHERE kind <> 'deliver') AND status = 'QUEUED'
)
SELECT c.id, c.job_id, c.generation, c.kind, c.ordinal, c.lease_token, c.attempts, c.crashes, c.input,
       j.options, j.tenant, j.chunk_count, coalesce(j.chunk_generation, c.generation) AS chunk_generation, j.warnings,
       CASE WHEN j.source_sha256 IS NULL THEN j.source_url END AS source_url,
       j.source_sha256 IS NULL AND j.source_url IS NULL AS is_unhashed
FROM claimed c JOIN jobs j ON j.id = c.job_id
"""

HEARTBEAT = """
WITH held AS (
    SELECT t.id FROM tasks t JOIN unnest($1::uuid[], $2::bigint[]) AS mine(id, token)
        ON t.id = mine.id AND t.lease_token = mine.token
    WHERE t.state = 'running' ORDER BY t.id FOR UPDATE OF t
)
UPDATE tasks t
SET lease_expires_at = now() + make_interval(secs => $4), progress = mine.progress
FROM held, unnest($1::uuid[], $3::real[]) AS mine(id, progress)
WHERE t.id = held.id AND mine.id = t.id
RETURNING t.id
"""

RECORD_STAGE = """
UPDATE jobs SET stage = $3 WHERE id = (
    SELECT job_id FROM tasks WHERE id = $1 AND lease_token = $2 AND state = 'running')
"""

# The job's row first, as everywhere. Its bytes count as used when they are first known.
RECORD_SOURCE = """
WITH job AS (SELECT id, tenant, source_bytes FROM jobs WHERE id = $2 FOR UPDATE),
held AS (SELECT job_id FROM tasks WHERE id = $1 AND lease_token = $3 AND state = 'running'),
recorded AS (
    UPDATE jobs SET container = $4, source_bytes = $5, source_sha256 = $6
    FROM job, held WHERE jobs.id = job.id AND held.job_id = job.id
    RETURNING jobs.id
), counted AS (
    INSERT INTO tenant_usage AS used (tenant, day, shard, bytes)
    SELECT job.tenant, usage_day(), usage_shard(), $5 FROM job, recorded WHERE job.source_bytes IS NULL
    ON CONFLICT (tenant, day, shard) DO UPDATE SET bytes = used.bytes + excluded.bytes
)
SELECT id FROM recorded
"""

RECORD_SHA256 = """
UPDATE jobs SET source_sha256 = $3 WHERE id = (
    SELECT job_id FROM tasks WHERE id = $1 AND lease_token = $2 AND state = 'running')
"""

CONFIRM = "SELECT 1 FROM tasks WHERE id = $1 AND lease_token = $2 AND state = 'running'"


class SourceFacts(msgspec.Struct, frozen=True):
    """What is known of a source once it is stored."""

    container: str
    bytes: int
    sha256: str


class ClaimedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task we hold, with what its stage needs of the job."""

    id: UUID
    job_id: UUID
    generation: int
    kind: TaskKind
    ordinal: int
    lease_token: int
    attempts: int
    crashes: int
    input: msgspec.Raw | None
    options: JobOptions
    tenant: str
    chunk_count: int
    chunk_generation: int  # under which the chunks' blobs lie
    warnings: tuple[ResultWarning, ...]
    source_url: str | None = None  # where the source is still to be fetched from
    is_unhashed: bool = False  # the source came past the ingest, straight into the bucket


async def claim(
    pool: asyncpg.Pool, task_id: UUID, dispatch_no: int, *, worker: str, lease_s: float
) -> ClaimedTask | None:
    """Take a dispatched task, or None: someone has it, or this dispatch is out of date."""
    failpoint("claim.before")
    row = await pool.fetchrow(CLAIM, task_id, dispatch_no, worker, lease_s)
    failpoint("claim.after")
    return claimed_task(row) if row else None


def claimed_task(row: asyncpg.Record) -> ClaimedTask:
    """A row with the columns of ClaimedTask."""
    fields = dict(row)
    fields["kind"] = TaskKind(row["kind"])
    fields["input"] = msgspec.Raw(row["input"].encode()) if row["input"] else None
    fields["options"] = msgspec.json.decode(row["options"], type=JobOptions)
    fields["warnings"] = msgspec.json.decode(row["warnings"], type=tuple[ResultWarning, ...])
    return ClaimedTask(**fields)


class _Held:
    """A running task and the work that is done under its lease."""

    def __init__(self, task: ClaimedTask, work: asyncio.Task[Outcome]) -> None:
        self.task = task
        self.work = work
        self.progress = 0.0
        self.ended_by: Outcome | None = None

    def end(self, outcome: Outcome) -> None:
        self.ended_by = self.ended_by or outcome
        self.work.cancel()


class Leases:
    """The leases of one worker process: one heartbeat statement renews them all."""

    def __init__(self, pool: asyncpg.Pool, *, lease_s: float) -> None:
        self._pool = pool
        self._lease_s = lease_s
        self._held: dict[UUID, _Held] = {}
        self._stopping = False

    async def hold(self, task: ClaimedTask, stage: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Run a stage under the task's lease; every way it can end becomes an outcome."""
        held = _Held(task, asyncio.create_task(stage))
        self._held[task.id] = held
        RUNNING[task.kind].inc()
        if self._stopping:
            held.end(Interrupted())
        try:
            return await held.work
        except asyncio.CancelledError:
            return held.ended_by or Interrupted()
        except ChildCrashError as error:
            return Crashed(str(error))
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes an outcome
            return Failed(failure_of(error))
        finally:
            RUNNING[task.kind].dec()
            del self._held[task.id]

    def report(self, task: ClaimedTask, progress: float) -> None:
        """Note how far a task is; the next heartbeat writes it."""
        if held := self._held.get(task.id):
            held.progress = progress

    async def record_stage(self, task: ClaimedTask, stage: str) -> None:
        """Show the client the stage its job has reached."""
        await self._pool.execute(RECORD_STAGE, task.id, task.lease_token, stage)

    async def record_source(self, task: ClaimedTask, facts: SourceFacts) -> None:
        """Note what a fetched source is. Raises TaskError when the task is not ours any more."""
        fields = facts.container, facts.bytes, facts.sha256
        if not await self._pool.fetchval(RECORD_SOURCE, task.id, task.job_id, task.lease_token, *fields):
            raise _taken_over()

    async def record_sha256(self, task: ClaimedTask, sha256: str) -> None:
        """Note what a source hashes to that nobody has seen pass by."""
        await self._pool.execute(RECORD_SHA256, task.id, task.lease_token, sha256)

    async def confirm(self, task: ClaimedTask) -> None:
        """Raise TaskError when the task is not ours any more; it cannot be recorded, as nothing of ours can."""
        if not await self._pool.fetchval(CONFIRM, task.id, task.lease_token):
            raise _taken_over()

    async def beat(self) -> None:
        """Renew every lease; stop the work of those that are gone."""
        held = list(self._held.values())
        if not held:
            return
        ids = [one.task.id for one in held]
        tokens = [one.task.lease_token for one in held]
        progress = [one.progress for one in held]
        # A connection that froze must not cost more than this beat.
        rows = await self._pool.fetch(HEARTBEAT, ids, tokens, progress, self._lease_s, timeout=self._lease_s / 3)
        kept = {row["id"] for row in rows}
        for one in held:
            if one.task.id not in kept:
                log.warning("lease_lost", task_id=one.task.id, job_id=one.task.job_id)
                one.end(LeaseLost())

    async def drain(self, grace_s: float) -> None:
        """Let running work finish for a while, then interrupt what is left."""
        works = [one.work for one in self._held.values()]
        if works:
            log.info("draining", tasks=len(works), grace_s=grace_s)
            await asyncio.wait(works, timeout=grace_s)
        self._stopping = True
        for one in list(self._held.values()):
            one.end(Interrupted())


def _taken_over() -> TransientError:
    return TransientError(FailureCode.INTERNAL, "Another worker has the task.")
