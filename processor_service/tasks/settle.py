"""Carries out the outcome of an attempt: one transaction an outcome, fenced by the lease token.

Locks are always taken job first, then tasks by id, so that chunks that finish at the same moment never deadlock.
The event that tells a client of its job's end is written by the transaction that ends it. Returns what is to be told
after the commit: dispatches to ring for, and whether there is a new dead letter.
"""

import asyncpg
import msgspec

from processor_service.audio.write_chunks import PreparedAudio
from processor_service.tasks import retry
from processor_service.tasks.end_job import end_job, insert_task
from processor_service.tasks.leases import ClaimedTask
from processor_service.tasks.outcomes import (
    ChunkDone,
    Crashed,
    Delivered,
    DeliveryAttempt,
    Failed,
    Interrupted,
    JobDone,
    LeaseLost,
    NotDelivered,
    Outcome,
    Postponed,
    Split,
)
from processor_service.tasks.settle_sql import (
    CANCEL_SIBLINGS,
    CONCLUDE_ATTEMPT,
    COUNT_CHUNK,
    LEAVE_RUNNING,
    LOCK_JOB,
    RECORD_AUDIO,
    RECORD_FAILURE,
    REDISPATCH,
    START_CHUNKS,
    STILL_EXPIRED,
    WAIT,
)
from shared.failpoints import failpoint
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import JobStatus, TaskKind, TaskState


class LeaseLostError(Exception):
    """The task is not ours any more; the transaction rolls back and nothing is written."""


class Aftermath(msgspec.Struct, frozen=True):
    """What to tell the outside once the transaction is committed."""

    dispatches: tuple[Dispatch, ...] = ()
    has_dead_letter: bool = False


async def settle(pool: asyncpg.Pool, task: ClaimedTask, outcome: Outcome, *, policy: retry.RetryPolicy) -> Aftermath:
    """Commit an outcome. Raises LeaseLostError when the lease was lost meanwhile."""
    if isinstance(outcome, LeaseLost):
        return Aftermath()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK_JOB, task.job_id)
        aftermath = await _Settlement(connection, task, policy).carry_out(outcome)
        failpoint("settle.before_commit")
    failpoint("settle.after_commit")
    return aftermath


async def settle_lost(pool: asyncpg.Pool, task: ClaimedTask, crash: Crashed, *, policy: retry.RetryPolicy) -> Aftermath:
    """Commit the crash of a worker on its behalf. Raises LeaseLostError when it came back and renewed its lease."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK_JOB, task.job_id)
        if not await connection.fetchval(STILL_EXPIRED, task.id, task.lease_token):
            raise LeaseLostError
        return await _Settlement(connection, task, policy).carry_out(crash)


class _Settlement:
    """One transaction's steps; each method is one outcome."""

    def __init__(self, connection: asyncpg.Connection, task: ClaimedTask, policy: retry.RetryPolicy) -> None:
        self._db = connection
        self._task = task
        self._policy = policy

    async def carry_out(self, outcome: Outcome) -> Aftermath:  # noqa: C901, PLR0911 - one return an outcome
        match outcome:
            case Split():
                return await self._split(outcome)
            case ChunkDone():
                return await self._chunk_done()
            case JobDone():
                return await self._job_done(outcome)
            case Delivered(attempt):
                await self._leave_running(TaskState.DONE)
                await self._conclude(attempt)
                return Aftermath()
            case NotDelivered(attempt, failure):
                aftermath = await self._failed(failure)
                await self._conclude(attempt)
                return aftermath
            case Postponed(wait_s):
                await self._wait(wait_s)
                return Aftermath()
            case Failed(failure):
                return await self._failed(failure)
            case Crashed(message):
                return await self._crashed(message)
            case Interrupted():
                await self._leave_running(TaskState.DISPATCHED)
                return Aftermath((await self._redispatch(),))
            case LeaseLost():
                raise LeaseLostError

    async def _split(self, outcome: Split) -> Aftermath:
        await self._leave_running(TaskState.DONE)
        await self._record_audio(outcome.prepared)
        await self._db.execute(START_CHUNKS, self._task.job_id, len(outcome.chunks), _json(outcome.warnings))
        chunks = [
            await insert_task(self._db, self._task, TaskKind.CHUNK, ordinal, chunk)
            for ordinal, chunk in enumerate(outcome.chunks)
        ]
        cost = cost_s(TaskKind.CHUNK, duration_s=outcome.prepared.duration_s, chunk_count=len(chunks))
        return Aftermath(tuple(msgspec.structs.replace(chunk, cost_s=cost) for chunk in chunks))

    async def _chunk_done(self) -> Aftermath:
        await self._leave_running(TaskState.DONE)
        was_last = await self._db.fetchval(COUNT_CHUNK, self._task.job_id)
        return Aftermath((await insert_task(self._db, self._task, TaskKind.FINISH, 0),) if was_last else ())

    async def _job_done(self, outcome: JobDone) -> Aftermath:
        await self._leave_running(TaskState.DONE)
        if outcome.prepared:
            await self._record_audio(outcome.prepared)
        return Aftermath(await end_job(self._db, self._task, JobStatus.COMPLETED, warnings=outcome.warnings))

    async def _failed(self, failure: Failure) -> Aftermath:
        decision = retry.decide(failure, failed_attempts=self._task.attempts + 1, policy=self._policy)
        if isinstance(decision, retry.GiveUp):
            return await self._bury(failure)
        await self._wait(decision.wait_s)
        await self._record_failure(failure, attempts=1)
        return Aftermath()

    async def _crashed(self, message: str) -> Aftermath:
        failure = Failure(
            code=FailureCode.POISON,
            message="Its process crashed, or exceeded its time or memory, again and again.",
            traceback=message,
        )
        if retry.is_poison(self._task.crashes + 1):
            return await self._bury(failure, crashes=1)
        await self._leave_running(TaskState.DISPATCHED)
        await self._record_failure(failure, crashes=1)
        return Aftermath((await self._redispatch(),))

    async def _bury(self, failure: Failure, *, crashes: int = 0) -> Aftermath:
        """Make the task dead, and with it the job, unless it was only the delivery of its webhook."""
        await self._leave_running(TaskState.DEAD)
        await self._record_failure(failure, attempts=0 if crashes else 1, crashes=crashes)
        dispatches: tuple[Dispatch, ...] = ()
        if self._task.kind is not TaskKind.DELIVER:
            dispatches = await end_job(self._db, self._task, JobStatus.FAILED, failure=failure)
            await self._db.execute(CANCEL_SIBLINGS, self._task.job_id, self._task.generation)
        return Aftermath(dispatches, has_dead_letter=True)

    async def _leave_running(self, state: TaskState) -> None:
        result = await self._db.execute(LEAVE_RUNNING, self._task.id, self._task.lease_token, state)
        if result != "UPDATE 1":
            raise LeaseLostError

    async def _wait(self, wait_s: float) -> None:
        await self._leave_running(TaskState.WAITING)
        await self._db.execute(WAIT, self._task.id, wait_s)

    async def _record_failure(self, failure: Failure, *, attempts: int = 0, crashes: int = 0) -> None:
        await self._db.execute(RECORD_FAILURE, self._task.id, _json(failure), attempts, crashes)

    async def _conclude(self, attempt: DeliveryAttempt) -> None:
        await self._db.execute(
            CONCLUDE_ATTEMPT, attempt.id, attempt.duration_ms, attempt.status, attempt.error, attempt.answer
        )

    async def _record_audio(self, audio: PreparedAudio) -> None:
        await self._db.execute(
            RECORD_AUDIO, self._task.job_id, audio.duration_s, audio.sample_rate_hz, audio.channels, audio.codec
        )

    async def _redispatch(self) -> Dispatch:
        dispatch_no = await self._db.fetchval(REDISPATCH, self._task.id)
        return Dispatch(self._task.id, dispatch_no, self._task.kind, self._task.tenant, has_begun=True)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
