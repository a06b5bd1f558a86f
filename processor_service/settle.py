"""Carries out the outcome of an attempt: one transaction an outcome, fenced by the lease token.

Locks are always taken job first, then tasks by id, so that chunks that finish at the same moment never deadlock.
Returns what is to be told after the commit: dispatches to ring for, and the dead letter to push.
"""

import asyncpg
import msgspec

from processor_service import retry
from processor_service.audio.write_chunks import PreparedAudio
from processor_service.leases import ClaimedTask
from processor_service.outcomes import (
    ChunkDone,
    Crashed,
    Delivered,
    DeliveryInput,
    Failed,
    Interrupted,
    JobDone,
    LeaseLost,
    Outcome,
    Split,
)
from processor_service.settle_sql import (
    CANCEL_SIBLINGS,
    COUNT_CHUNK,
    END_JOB,
    INSERT_TASK,
    LEAVE_RUNNING,
    LOCK_JOB,
    RECORD_AUDIO,
    RECORD_FAILURE,
    REDISPATCH,
    START_CHUNKS,
    WAIT,
)
from shared.failures import DeadLetter, Failure, FailureCode
from shared.ids import new_id
from shared.messages import Dispatch
from shared.states import JobStatus, Stage, TaskKind, TaskState
from shared.transcript import ResultWarning
from shared.webhook_events import EventType

MAX_CRASHES = 3  # a task that took its process down so often is poison


class LeaseLostError(Exception):
    """The task is not ours any more; the transaction rolls back and nothing is written."""


class Aftermath(msgspec.Struct, frozen=True):
    """What to tell the outside once the transaction is committed."""

    dispatches: tuple[Dispatch, ...] = ()
    dead_letter: DeadLetter | None = None


async def settle(
    pool: asyncpg.Pool, task: ClaimedTask, outcome: Outcome, *, retry_waits_s: tuple[float, ...]
) -> Aftermath:
    """Commit an outcome. Raises LeaseLostError when the lease was lost meanwhile."""
    if isinstance(outcome, LeaseLost):
        return Aftermath()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK_JOB, task.job_id)
        settlement = _Settlement(connection, task, retry_waits_s)
        return await settlement.carry_out(outcome)


class _Settlement:
    """One transaction's steps; each method is one outcome."""

    def __init__(self, connection: asyncpg.Connection, task: ClaimedTask, retry_waits_s: tuple[float, ...]) -> None:
        self._db = connection
        self._task = task
        self._retry_waits_s = retry_waits_s

    async def carry_out(self, outcome: Outcome) -> Aftermath:  # noqa: PLR0911 - one return an outcome
        match outcome:
            case Split():
                return await self._split(outcome)
            case ChunkDone():
                return await self._chunk_done()
            case JobDone():
                return await self._job_done(outcome)
            case Delivered():
                await self._leave_running(TaskState.DONE)
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
        return Aftermath(
            tuple(
                [
                    await self._insert_task(TaskKind.CHUNK, ordinal, chunk)
                    for ordinal, chunk in enumerate(outcome.chunks)
                ]
            )
        )

    async def _chunk_done(self) -> Aftermath:
        await self._leave_running(TaskState.DONE)
        was_last = await self._db.fetchval(COUNT_CHUNK, self._task.job_id)
        return Aftermath((await self._insert_task(TaskKind.FINISH, 0),) if was_last else ())

    async def _job_done(self, outcome: JobDone) -> Aftermath:
        await self._leave_running(TaskState.DONE)
        if outcome.prepared:
            await self._record_audio(outcome.prepared)
        return Aftermath(await self._end_job(JobStatus.COMPLETED, warnings=outcome.warnings))

    async def _failed(self, failure: Failure) -> Aftermath:
        decision = retry.decide(failure, failed_attempts=self._task.attempts + 1, waits_s=self._retry_waits_s)
        if isinstance(decision, retry.GiveUp):
            return await self._bury(failure)
        await self._leave_running(TaskState.WAITING)
        await self._record_failure(failure, attempts=1)
        await self._db.execute(WAIT, self._task.id, decision.wait_s)
        return Aftermath()

    async def _crashed(self, message: str) -> Aftermath:
        failure = Failure(
            code=FailureCode.POISON, message="The audio crashed its decoder repeatedly.", traceback=message
        )
        if self._task.crashes + 1 >= MAX_CRASHES:
            return await self._bury(failure, crashes=1)
        await self._leave_running(TaskState.DISPATCHED)
        await self._record_failure(failure, crashes=1)
        return Aftermath((await self._redispatch(),))

    async def _bury(self, failure: Failure, *, crashes: int = 0) -> Aftermath:
        """Make the task dead, and with it the job, unless it was only the delivery of its webhook."""
        await self._leave_running(TaskState.DEAD)
        row = await self._record_failure(failure, attempts=0 if crashes else 1, crashes=crashes)
        dispatches: tuple[Dispatch, ...] = ()
        if self._task.kind is not TaskKind.DELIVER:
            dispatches = await self._end_job(JobStatus.FAILED, failure=failure)
            await self._db.execute(CANCEL_SIBLINGS, self._task.job_id, self._task.generation)
        return Aftermath(dispatches, self._dead_letter(failure, row))

    async def _leave_running(self, state: TaskState) -> None:
        result = await self._db.execute(LEAVE_RUNNING, self._task.id, self._task.lease_token, state)
        if result != "UPDATE 1":
            raise LeaseLostError

    async def _record_failure(self, failure: Failure, *, attempts: int = 0, crashes: int = 0) -> asyncpg.Record:
        return await self._db.fetchrow(RECORD_FAILURE, self._task.id, _json(failure), attempts, crashes)

    async def _record_audio(self, audio: PreparedAudio) -> None:
        await self._db.execute(
            RECORD_AUDIO, self._task.job_id, audio.duration_s, audio.sample_rate_hz, audio.channels, audio.codec
        )

    async def _redispatch(self) -> Dispatch:
        dispatch_no = await self._db.fetchval(REDISPATCH, self._task.id)
        return Dispatch(self._task.id, dispatch_no, self._task.kind)

    async def _insert_task(self, kind: TaskKind, ordinal: int, task_input: msgspec.Struct | None = None) -> Dispatch:
        task_id = new_id()
        await self._db.execute(
            INSERT_TASK,
            task_id,
            self._task.job_id,
            self._task.generation,
            kind,
            ordinal,
            _json(task_input) if task_input else None,
        )
        return Dispatch(task_id, 1, kind)

    async def _end_job(
        self, status: JobStatus, *, failure: Failure | None = None, warnings: tuple[ResultWarning, ...] | None = None
    ) -> tuple[Dispatch, ...]:
        row = await self._db.fetchrow(
            END_JOB,
            self._task.job_id,
            status,
            failure.code if failure else None,
            failure.message if failure else None,
            Stage.FINISH if status is JobStatus.COMPLETED else None,
            None if warnings is None else _json(warnings),
        )
        if row is None or not row["wants_webhook"]:
            return ()
        return (await self._insert_task(TaskKind.DELIVER, 0, DeliveryInput(type=EventType.of(status))),)

    def _dead_letter(self, failure: Failure, row: asyncpg.Record) -> DeadLetter:
        return DeadLetter(
            job_id=str(self._task.job_id),
            generation=self._task.generation,
            task_kind=self._task.kind,
            ordinal=self._task.ordinal,
            code=failure.code,
            message=failure.message,
            traceback=failure.traceback,
            attempts=row["attempts"],
            first_failed_at=row["first_failed_at"],
            last_failed_at=row["last_failed_at"],
            tenant=self._task.tenant,
            options=msgspec.to_builtins(self._task.options),
        )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
