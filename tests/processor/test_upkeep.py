"""Wake, rescue and reconcile, each a turn at a time, on real Postgres and Valkey."""

import asyncpg
import pytest
from redis.asyncio import Redis

from processor_service.outcomes import Failed
from processor_service.settle import settle
from processor_service.upkeep.loop import run_locked
from processor_service.upkeep.reconcile import Reconciler
from processor_service.upkeep.rescue import rescue
from processor_service.upkeep.wake import wake
from shared.bell import ring
from shared.failures import Failure, FailureCode
from shared.messages import COMPUTE_QUEUE, Dispatch
from shared.states import TaskKind
from tests.processor.conftest import Claim, Submit, task_row

AGE = "UPDATE tasks SET dispatched_at = now() - interval '1 minute' WHERE id = $1"


async def test_a_task_wakes_when_its_wait_is_over_and_not_before(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit())
    failure = Failure(code=FailureCode.TIMEOUT, message="slow", transient=True)
    await settle(database, task, Failed(failure), retry_waits_s=(3600.0,))
    assert await run_locked(database, "wake", wake) == []

    await database.execute("UPDATE tasks SET not_before = now() WHERE id = $1", task.id)

    assert await run_locked(database, "wake", wake) == [Dispatch(task.id, 2, TaskKind.PREPARE)]
    assert await run_locked(database, "wake", wake) == []


async def test_a_task_is_rescued_once_its_lease_ran_out(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    alive = await claim_task(await submit(), lease_s=3600)
    lost = await claim_task(await submit(), lease_s=0)

    assert await run_locked(database, "rescue", rescue) == [Dispatch(lost.id, 2, TaskKind.PREPARE)]

    row = await task_row(database, lost.id)
    assert (row["state"], row["crashes"], row["attempts"]) == ("dispatched", 1, 0)
    assert (await task_row(database, alive.id))["state"] == "running"


async def test_reconcile_rings_for_what_redis_does_not_know_and_for_nothing_else(
    database: asyncpg.Pool, redis_url: str, submit: Submit
) -> None:
    known, unknown, just_now = await submit(), await submit(), await submit()
    for old in (known, unknown):
        await database.execute(AGE, old)
    async with Redis.from_url(redis_url) as redis:
        await ring(redis, [Dispatch(known, 1, TaskKind.PREPARE)])

        assert await run_locked(database, "reconcile", Reconciler(redis)) == [Dispatch(unknown, 2, TaskKind.PREPARE)]
        assert (await task_row(database, just_now))["dispatch_no"] == 1


async def test_only_one_worker_does_a_piece_of_upkeep_at_a_time(database: asyncpg.Pool) -> None:
    async def nested(_connection: asyncpg.Connection) -> list[Dispatch]:
        return await run_locked(database, "same", unexpected)

    async def unexpected(_connection: asyncpg.Connection) -> list[Dispatch]:
        pytest.fail("the lock was not held")

    assert await run_locked(database, "same", nested) == []


async def test_ringing_twice_is_ringing_once(redis_url: str) -> None:
    from shared.ids import new_id

    dispatch = Dispatch(new_id(), 1, TaskKind.PREPARE)
    async with Redis.from_url(redis_url) as redis:
        await ring(redis, [dispatch])
        await ring(redis, [dispatch])

        assert await redis.zcard(COMPUTE_QUEUE) == 1
