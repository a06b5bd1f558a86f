"""Commits the outcome of an attempt, fenced by the lease token. `settlement` decides what it writes.

One statement does it, in a transaction of its own. Failed and erased jobs, which are rare, need several. After the
commit the caller enqueues the dispatches and updates the list of dead letters.
"""

from typing import Any

import asyncpg
import msgspec

from processor_service.errors import LeaseLostError
from processor_service.tasks import outcomes
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import Crashed, Outcome
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settlement import Settlement, as_json, settlement_of
from shared.failpoints import failpoint
from shared.job_changes import CANCEL_TASKS, FORGET_HEADERS
from shared.queue.dispatch import Dispatch
from shared.schemas.states import TaskState

# A job whose source could not be fetched fails without a slot: both changes in one transaction.
START_JOB = """
UPDATE jobs SET status = 'PROCESSING', started_at = coalesce(started_at, now())
WHERE id = $1 AND generation = $2 AND status = 'QUEUED'
"""

# For an erased job: its endpoint may answer with what it received; after the last delivery nothing needs its address.
FORGET_ANSWERS = """
UPDATE webhook_attempts SET answer = NULL
WHERE answer IS NOT NULL AND event_id IN (SELECT id FROM webhook_events WHERE job_id = $1)
"""
FORGET_WEBHOOK = """
UPDATE jobs SET webhook_url = NULL, webhook_secret = NULL, webhooks = NULL WHERE id = $1 AND NOT EXISTS (
    SELECT 1 FROM tasks WHERE job_id = $1 AND state IN ('dispatched', 'running', 'waiting'))
"""


class AfterCommit(msgspec.Struct, frozen=True):
    """What to do after the commit: enqueue dispatches, update the list of dead letters, wake the task."""

    dispatches: tuple[Dispatch, ...] = ()
    has_dead_letter: bool = False
    due_in_s: float | None = None  # when the task's wait ends
    endpoint_is_paused: bool = False


async def settle(pool: asyncpg.Pool, task: ClaimedTask, outcome: Outcome, *, policy: RetryPolicy) -> AfterCommit:
    """Commit an outcome. Raise LeaseLostError when the lease is lost."""
    if isinstance(outcome, outcomes.LeaseLost):
        return AfterCommit()
    after_commit = await _commit(pool, task, settlement_of(task, outcome, policy))
    failpoint("settle.after_commit")
    return after_commit


async def settle_lost(pool: asyncpg.Pool, task: ClaimedTask, crash: Crashed, *, policy: RetryPolicy) -> AfterCommit:
    """Commit a crash for a lost worker. Raise LeaseLostError when that worker extended its lease."""
    return await _commit(pool, task, settlement_of(task, crash, policy), only_expired=True)


async def _commit(
    pool: asyncpg.Pool, task: ClaimedTask, settlement: Settlement, *, only_expired: bool = False
) -> AfterCommit:
    failpoint("settle.before_commit")
    async with pool.acquire() as connection:
        if not settlement.fails_job:
            row = await connection.fetchrow(
                settlement.statement, *_parameters(task, settlement, even_erased=False, only_expired=only_expired)
            )
            if not row["is_erased"]:
                return _after_commit(task, settlement, row)
        async with connection.transaction():
            if settlement.fails_job and task.to_fetch:
                await connection.execute(START_JOB, task.job_id, task.generation)
            row = await connection.fetchrow(
                settlement.statement, *_parameters(task, settlement, even_erased=True, only_expired=only_expired)
            )
            after_commit = _after_commit(task, settlement, row)
            if settlement.fails_job:
                await connection.execute(CANCEL_TASKS, task.job_id, task.generation)
                if task.options.audio_headers:
                    await connection.execute(FORGET_HEADERS, [task.job_id])
            if row["is_erased"]:
                await connection.execute(FORGET_ANSWERS, task.job_id)
                await connection.execute(FORGET_WEBHOOK, task.job_id)
            return after_commit


def _parameters(
    task: ClaimedTask, settlement: Settlement, *, even_erased: bool, only_expired: bool
) -> tuple[object, ...]:
    leaving = settlement.leaving
    return (
        task.job_id,
        task.id,
        task.lease_token,
        leaving.state,
        as_json(leaving.failure) if leaving.failure else None,
        leaving.attempts,
        leaving.crashes,
        leaving.wait_s,
        leaving.engine or None,
        leaving.model or None,
        even_erased,
        only_expired,
        leaving.as_new,
        *settlement.facts,
    )


def _after_commit(task: ClaimedTask, settlement: Settlement, row: Any) -> AfterCommit:
    """Raise LeaseLostError when the statement wrote nothing."""
    if row["dispatch_no"] is None:
        raise LeaseLostError
    again = {task.id: row["dispatch_no"]}  # the number of this task's next dispatch
    dispatches = settlement.dispatches if row["follows"] else ()
    if (deliveries := row.get("deliveries")) is not None:
        dispatches = tuple(msgspec.structs.replace(dispatches[0], task_id=each) for each in deliveries)
    numbered = (msgspec.structs.replace(one, dispatch_no=again.get(one.task_id, one.dispatch_no)) for one in dispatches)
    is_dead = settlement.leaving.state is TaskState.DEAD
    return AfterCommit(tuple(numbered), is_dead, settlement.leaving.wait_s, bool(row.get("is_paused")))
