"""Carries out the outcome of an attempt in one transaction, fenced by the lease token.

Every transaction locks the job first, then tasks by id, so that chunks that finish at the same moment never deadlock.
The transaction that ends a job also writes its webhook event. After the commit the caller enqueues the dispatches and
updates the list of dead letters.
"""

import asyncpg
import msgspec

from processor_service.errors import LeaseLostError
from processor_service.tasks import outcomes
from processor_service.tasks.end_job import codes_of, end_job, insert_task
from processor_service.tasks.leases import ClaimedTask
from processor_service.tasks.outcomes import Crashed, Outcome
from processor_service.tasks.retry import MAX_CRASHES, GiveUp, RetryPolicy, decide, is_poison
from shared.failpoints import failpoint
from shared.job_changes import CANCEL_TASKS
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import JobStatus, TaskKind, TaskState

LOCK_JOB = "SELECT erased_at IS NOT NULL FROM jobs WHERE id = $1 FOR UPDATE"

# For an erased job: its endpoint may answer with what it received; after the last delivery nothing needs its address.
FORGET_ANSWERS = """
UPDATE webhook_attempts SET answer = NULL
WHERE answer IS NOT NULL AND event_id IN (SELECT id FROM webhook_events WHERE job_id = $1)
"""
FORGET_WEBHOOK = """
UPDATE jobs SET webhook_url = NULL, webhook_secret = NULL WHERE id = $1 AND NOT EXISTS (
    SELECT 1 FROM tasks WHERE job_id = $1 AND state IN ('dispatched', 'running', 'waiting'))
"""

STILL_EXPIRED = """
SELECT 1 FROM tasks WHERE id = $1 AND lease_token = $2 AND state = 'running' AND lease_expires_at < now() FOR UPDATE
"""

LEAVE_RUNNING = """
UPDATE tasks SET state = $3, lease_expires_at = NULL, leased_by = NULL,
    progress = CASE WHEN $3 = 'done' THEN 1 ELSE 0 END,
    finished_at = CASE WHEN $3 IN ('done', 'dead') THEN now() END
WHERE id = $1 AND lease_token = $2 AND state = 'running'
"""

RECORD_FAILURE = """
UPDATE tasks SET failure = $2, attempts = attempts + $3, crashes = crashes + $4,
    first_failed_at = coalesce(first_failed_at, now()), last_failed_at = now()
WHERE id = $1
"""

WAIT = "UPDATE tasks SET not_before = now() + make_interval(secs => $2) WHERE id = $1"

RECORD_ENGINE = "UPDATE tasks SET engine = $2, model = $3 WHERE id = $1"

REDISPATCH = "UPDATE tasks SET dispatch_no = dispatch_no + 1, dispatched_at = now() WHERE id = $1 RETURNING dispatch_no"

# The bytes count towards the quota when they are first known. The compute stage has attempts of its own.
RECORD_SOURCE = """
WITH before AS (SELECT tenant, source_bytes FROM jobs WHERE id = $1),
recorded AS (UPDATE jobs SET container = $2, source_bytes = $3, source_sha256 = $4 WHERE id = $1)
INSERT INTO tenant_usage AS used (tenant, day, shard, bytes)
SELECT tenant, usage_day(), usage_shard(), $3 FROM before WHERE source_bytes IS NULL
ON CONFLICT (tenant, day, shard) DO UPDATE SET bytes = used.bytes + excluded.bytes
"""
FETCHED = "UPDATE tasks SET attempts = 0, crashes = 0, started_at = NULL WHERE id = $1"

# A job whose source could not be fetched fails without a slot: both changes in one transaction.
START_JOB = """
UPDATE jobs SET status = 'PROCESSING', started_at = coalesce(started_at, now())
WHERE id = $1 AND generation = $2 AND status = 'QUEUED'
"""

START_CHUNKS = """
UPDATE jobs SET stage = 'transcribe', chunk_count = $2, chunks_done = 0, warnings = $3, warning_codes = $4,
    chunk_generation = generation
WHERE id = $1
"""

COUNT_CHUNK = """
UPDATE jobs SET chunks_done = chunks_done + 1,
    stage = CASE WHEN chunks_done + 1 = chunk_count THEN 'finish' ELSE stage END
WHERE id = $1 RETURNING chunks_done = chunk_count AS last
"""

COMPLETE_ATTEMPT = """
UPDATE webhook_attempts SET duration_ms = $2, status = $3, error = $4, answer = $5,
    next_attempt_at = (SELECT not_before FROM tasks WHERE id = task_id AND state = 'waiting')
WHERE id = $1
"""


class AfterCommit(msgspec.Struct, frozen=True):
    """What to do after the commit: enqueue dispatches, update the list of dead letters."""

    dispatches: tuple[Dispatch, ...] = ()
    has_dead_letter: bool = False


async def settle(pool: asyncpg.Pool, task: ClaimedTask, outcome: Outcome, *, policy: RetryPolicy) -> AfterCommit:
    """Commit an outcome. Raise LeaseLostError when the lease is lost."""
    if isinstance(outcome, outcomes.LeaseLost):
        return AfterCommit()
    async with pool.acquire() as connection, connection.transaction():
        is_erased = await connection.fetchval(LOCK_JOB, task.job_id)
        after_commit = await _Settlement(connection, task, policy).carry_out(outcome)
        if is_erased:
            await connection.execute(FORGET_ANSWERS, task.job_id)
            await connection.execute(FORGET_WEBHOOK, task.job_id)
        failpoint("settle.before_commit")
    failpoint("settle.after_commit")
    return after_commit


async def settle_lost(pool: asyncpg.Pool, task: ClaimedTask, crash: Crashed, *, policy: RetryPolicy) -> AfterCommit:
    """Commit a crash for a lost worker. Raise LeaseLostError when that worker extended its lease."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK_JOB, task.job_id)
        if not await connection.fetchval(STILL_EXPIRED, task.id, task.lease_token):
            raise LeaseLostError
        return await _Settlement(connection, task, policy).carry_out(crash)


class _Settlement:
    """The steps of one transaction; `carry_out` selects those of an outcome."""

    def __init__(self, connection: asyncpg.Connection, task: ClaimedTask, policy: RetryPolicy) -> None:
        self._db = connection
        self._task = task
        self._policy = policy

    async def carry_out(self, outcome: Outcome) -> AfterCommit:  # noqa: C901, PLR0911 - one return an outcome
        match outcome:
            case outcomes.Fetched():
                return await self._fetched(outcome)
            case outcomes.Split():
                return await self._split(outcome)
            case outcomes.ChunkDone():
                return await self._chunk_done(outcome)
            case outcomes.JobDone():
                return await self._job_done(outcome)
            case outcomes.Delivered(attempt):
                await self._leave_running(TaskState.DONE)
                await self._complete(attempt)
                return AfterCommit()
            case outcomes.NotDelivered(attempt, failure):
                after_commit = await self._failed(failure)
                await self._complete(attempt)
                return after_commit
            case outcomes.Postponed(wait_s):
                await self._wait(wait_s)
                return AfterCommit()
            case outcomes.StorageFull(failure):
                await self._wait(self._policy.full_disk_wait_s)
                await self._record_failure(failure)
                return AfterCommit()
            case outcomes.Failed(failure):
                return await self._failed(failure)
            case Crashed(message):
                return await self._crashed(message)
            case outcomes.Interrupted():
                await self._leave_running(TaskState.DISPATCHED)
                return AfterCommit((await self._redispatch(),))
            case outcomes.LeaseLost():
                raise LeaseLostError

    async def _fetched(self, source: outcomes.Fetched) -> AfterCommit:
        await self._leave_running(TaskState.DISPATCHED)
        await self._db.execute(RECORD_SOURCE, self._task.job_id, source.container, source.bytes, source.sha256)
        await self._db.execute(FETCHED, self._task.id)
        dispatch_no = await self._db.fetchval(REDISPATCH, self._task.id)
        cost = cost_s(TaskKind.PREPARE, source_bytes=source.bytes, container=source.container)
        task = self._task
        prepare = Dispatch(task.id, dispatch_no, TaskKind.PREPARE, task.tenant, cost, interactive=task.interactive)
        return AfterCommit((prepare,))

    async def _split(self, outcome: outcomes.Split) -> AfterCommit:
        await self._leave_running(TaskState.DONE)
        warnings = _json(outcome.warnings), codes_of(outcome.warnings)
        await self._db.execute(START_CHUNKS, self._task.job_id, len(outcome.chunks), *warnings)
        chunks = [
            await insert_task(self._db, self._task, TaskKind.CHUNK, ordinal, chunk)
            for ordinal, chunk in enumerate(outcome.chunks)
        ]
        cost = cost_s(TaskKind.CHUNK, duration_s=outcome.duration_s, chunk_count=len(chunks))
        return AfterCommit(tuple(msgspec.structs.replace(chunk, cost_s=cost) for chunk in chunks))

    async def _chunk_done(self, outcome: outcomes.ChunkDone) -> AfterCommit:
        await self._leave_running(TaskState.DONE)
        await self._record_engine(outcome.engine, outcome.model)
        was_last = await self._db.fetchval(COUNT_CHUNK, self._task.job_id)
        return AfterCommit((await insert_task(self._db, self._task, TaskKind.FINISH, 0),) if was_last else ())

    async def _job_done(self, outcome: outcomes.JobDone) -> AfterCommit:
        await self._leave_running(TaskState.DONE)
        await self._record_engine(outcome.engine, outcome.model)
        warnings, speakers = outcome.warnings, outcome.speakers
        ended = await end_job(self._db, self._task, JobStatus.COMPLETED, warnings=warnings, speakers=speakers)
        return AfterCommit(ended)

    async def _failed(self, failure: Failure) -> AfterCommit:
        decision = decide(failure, failed_attempts=self._task.attempts + 1, policy=self._policy)
        if isinstance(decision, GiveUp):
            return await self._make_dead(failure)
        await self._wait(decision.wait_s)
        await self._record_failure(failure, attempts=1)
        return AfterCommit()

    async def _crashed(self, message: str) -> AfterCommit:
        failure = Failure(
            code=FailureCode.POISON,
            message=f"The process crashed or exceeded its time or memory {MAX_CRASHES} times.",
            traceback=message,
        )
        if is_poison(self._task.crashes + 1):
            return await self._make_dead(failure, crashes=1)
        await self._leave_running(TaskState.DISPATCHED)
        await self._record_failure(failure, crashes=1)
        return AfterCommit((await self._redispatch(),))

    async def _make_dead(self, failure: Failure, *, crashes: int = 0) -> AfterCommit:
        """Make the task dead and fail its job. The failed delivery of a webhook does not fail the job."""
        await self._leave_running(TaskState.DEAD)
        await self._record_failure(failure, attempts=0 if crashes else 1, crashes=crashes)
        dispatches: tuple[Dispatch, ...] = ()
        if self._task.kind is not TaskKind.DELIVER:
            if self._task.to_fetch:
                await self._db.execute(START_JOB, self._task.job_id, self._task.generation)
            dispatches = await end_job(self._db, self._task, JobStatus.FAILED, failure=failure)
            await self._db.execute(CANCEL_TASKS, self._task.job_id, self._task.generation)
        return AfterCommit(dispatches, has_dead_letter=True)

    async def _leave_running(self, state: TaskState) -> None:
        result = await self._db.execute(LEAVE_RUNNING, self._task.id, self._task.lease_token, state)
        if result != "UPDATE 1":
            raise LeaseLostError

    async def _wait(self, wait_s: float) -> None:
        await self._leave_running(TaskState.WAITING)
        await self._db.execute(WAIT, self._task.id, wait_s)

    async def _record_failure(self, failure: Failure, *, attempts: int = 0, crashes: int = 0) -> None:
        await self._db.execute(RECORD_FAILURE, self._task.id, _json(failure), attempts, crashes)

    async def _record_engine(self, engine: str, model: str) -> None:
        if engine:
            await self._db.execute(RECORD_ENGINE, self._task.id, engine, model)

    async def _complete(self, attempt: outcomes.DeliveryAttempt) -> None:
        await self._db.execute(
            COMPLETE_ATTEMPT, attempt.id, attempt.duration_ms, attempt.status, attempt.error, attempt.answer
        )

    async def _redispatch(self) -> Dispatch:
        dispatch_no = await self._db.fetchval(REDISPATCH, self._task.id)
        task = self._task
        return Dispatch(
            task.id,
            dispatch_no,
            task.kind,
            task.tenant,
            has_begun=True,
            to_fetch=task.to_fetch,
            interactive=task.interactive,
        )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
