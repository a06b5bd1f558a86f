"""A task whose source is at a URL never waits for a compute slot, by whatever way it returns to the queue."""

import ast
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

import processor_service
from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.reconcile import Reconciler
from processor_service.maintenance.rescue import DISPATCH_COLUMNS, Rescuer, wake
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import Crashed, Failed, Fetched, Interrupted, Outcome, Postponed
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.connections.redis_shards import alone
from shared.queue.dispatch import COMPUTE_QUEUE, FETCH_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import TaskKind
from tests.service.processor.conftest import Claim, job_row, task_row
from tests.service.sources.conftest import SubmitUrl

POLICY = RetryPolicy(waits_s=(0.0,), longest_retry_after_s=0)
SLOW = Failure(code=FailureCode.SOURCE_UNAVAILABLE, message="slow", transient=True)
URL = "http://127.0.0.1:1/"
FACTS = Fetched("mp3", 1_200_000, "ab")

Return = Callable[[asyncpg.Pool, Redis, ClaimedTask], Awaitable[list[Dispatch]]]


async def by_wake(database: asyncpg.Pool, _: Redis, task: ClaimedTask) -> list[Dispatch]:
    await settle(database, task, Failed(SLOW), policy=POLICY)
    await database.execute("UPDATE tasks SET not_before = now()")
    return list(await run_locked(database, "wake", wake) or ())


async def by_postponement(database: asyncpg.Pool, _: Redis, task: ClaimedTask) -> list[Dispatch]:
    await settle(database, task, Postponed(0.0), policy=POLICY)
    return list(await run_locked(database, "wake", wake) or ())


async def by_rescue(database: asyncpg.Pool, _: Redis, task: ClaimedTask) -> list[Dispatch]:
    await database.execute("UPDATE tasks SET lease_expires_at = now() - interval '1 s' WHERE id = $1", task.id)
    rescuer = Rescuer(database, POLICY)
    await run_locked(database, "rescue", rescuer)
    return list(await run_locked(database, "rescue", rescuer) or ())


async def by_reconciliation(database: asyncpg.Pool, redis: Redis, task: ClaimedTask) -> list[Dispatch]:
    await database.execute("UPDATE tasks SET state = 'dispatched', dispatched_at = now() - interval '1 minute'")
    await enqueue(redis, [Dispatch(task.id, 1, TaskKind.PREPARE)])  # by an earlier version, for a compute slot
    return list(await run_locked(database, "reconcile", Reconciler(alone(redis))) or ())


def by_outcome(outcome: Outcome) -> Return:
    async def settled(database: asyncpg.Pool, _: Redis, task: ClaimedTask) -> list[Dispatch]:
        return list((await settle(database, task, outcome, policy=POLICY)).dispatches)

    return settled


@pytest.mark.parametrize(
    "returned",
    [by_wake, by_postponement, by_rescue, by_reconciliation, by_outcome(Interrupted()), by_outcome(Crashed("x"))],
)
async def test_a_source_that_is_not_stored_is_fetched_without_a_slot(
    database: asyncpg.Pool, redis_url: str, submit_url: SubmitUrl, claim_task: Claim, returned: Return
) -> None:
    task = await claim_task(await submit_url(URL))
    async with Redis.from_url(redis_url) as redis:
        (dispatch,) = await returned(database, redis, task)

    assert (dispatch.queue, dispatch.cost_s) == (FETCH_QUEUE, 1)
    assert (await job_row(database, task.job_id))["status"] == "QUEUED"


async def test_a_fetched_source_waits_for_a_slot_at_its_cost(
    database: asyncpg.Pool, submit_url: SubmitUrl, claim_task: Claim
) -> None:
    task_id = await submit_url(URL)
    await settle(database, await claim_task(task_id), Failed(SLOW), policy=POLICY)
    await database.execute("UPDATE tasks SET state = 'dispatched'")

    (dispatch,) = (await settle(database, await claim_task(task_id), FACTS, policy=POLICY)).dispatches

    assert dispatch == Dispatch(task_id, 2, TaskKind.PREPARE, cost_s=100)
    assert dispatch.queue == COMPUTE_QUEUE
    row = await task_row(database, task_id)
    assert (row["state"], row["attempts"], row["started_at"]) == ("dispatched", 0, None)  # computing has its own
    task = await claim_task(task_id)
    assert not task.to_fetch
    assert (await job_row(database, task.job_id))["status"] == "PROCESSING"


async def test_a_source_that_cannot_be_fetched_fails_its_queued_job(
    database: asyncpg.Pool, submit_url: SubmitUrl, claim_task: Claim
) -> None:
    task = await claim_task(await submit_url(URL))
    await settle(database, task, Failed(SLOW), policy=RetryPolicy(waits_s=(), longest_retry_after_s=0))

    job = await job_row(database, task.job_id)
    assert (job["status"], job["error_code"]) == ("FAILED", "source_unavailable")
    assert (await task_row(database, task.id))["state"] == "dead"


def test_every_dispatch_from_the_database_says_where_its_source_is() -> None:
    assert "AS to_fetch" in DISPATCH_COLUMNS


def modules_of(part: str) -> list[Path]:
    return sorted((Path(processor_service.__file__).parent / part).rglob("*.py"))


@pytest.mark.parametrize("part", ["stages", "compute", "audio", "transcribers", "denoisers", "diarization"])
def test_no_stage_that_holds_a_slot_imports_what_fetches(part: str) -> None:
    for path in modules_of(part):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("processor_service.sources"), path
