"""Wake, rescue, reconcile and prune, one run at a time, on real Postgres and Valkey."""

from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from processor_service.maintenance import reconcile
from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.reconcile import Pruner, Reconciler
from processor_service.maintenance.rescue import Rescuer, wake
from processor_service.tasks.outcomes import Failed
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.connections.redis_shards import alone
from shared.ids import new_id
from shared.queue.dispatch import COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.queue.fair_shares import take, taken_key
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import TaskKind
from tests.service.processor.conftest import Claim, Submit, job_row, task_row
from tests.support.processor.sent_commands import sent_commands

POLICY = RetryPolicy(waits_s=(), longest_retry_after_s=0)
AGE = "UPDATE tasks SET dispatched_at = now() - interval '1 minute' WHERE id = $1"


async def test_a_task_wakes_at_the_end_of_its_wait(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    task = await claim_task(await submit())
    failure = Failure(code=FailureCode.TIMEOUT, message="slow", transient=True)
    await settle(database, task, Failed(failure), policy=RetryPolicy(waits_s=(3600.0,), longest_retry_after_s=0))
    assert await run_locked(database, "wake", wake) == []

    await database.execute("UPDATE tasks SET not_before = now() WHERE id = $1", task.id)

    assert await run_locked(database, "wake", wake) == [Dispatch(task.id, 2, TaskKind.PREPARE, has_begun=True)]
    assert await run_locked(database, "wake", wake) == []


async def test_maintenance_dispatches_carry_their_tenant_and_cost(
    database: asyncpg.Pool, redis_url: str, submit: Submit, claim_task: Claim
) -> None:
    waiting, unknown, begun = await submit(), await submit(), await submit()
    await database.execute("UPDATE jobs SET tenant = 'acme', source_bytes = 6400000")
    await settle(
        database,
        await claim_task(waiting),
        Failed(Failure(code=FailureCode.TIMEOUT, message="slow", transient=True)),
        policy=RetryPolicy(waits_s=(0.0,), longest_retry_after_s=0),
    )
    await claim_task(begun)
    await database.execute("UPDATE tasks SET state = 'dispatched' WHERE id = $1", begun)
    await database.execute("UPDATE tasks SET not_before = now() WHERE id = $1", waiting)
    for old in (unknown, begun):
        await database.execute(AGE, old)

    assert await run_locked(database, "wake", wake) == [
        Dispatch(waiting, 2, TaskKind.PREPARE, "acme", 100, has_begun=True)
    ]
    async with Redis.from_url(redis_url) as redis:
        expected = [
            Dispatch(unknown, 2, TaskKind.PREPARE, "acme", 100),
            Dispatch(begun, 2, TaskKind.PREPARE, "acme", 100, has_begun=True),
        ]
        by_age = sorted(expected, key=lambda one: one.task_id)  # ids of the same millisecond are in random order
        assert await run_locked(database, "reconcile", Reconciler(alone(redis))) == by_age


async def test_maintenance_dispatches_keep_the_class_of_their_job(
    database: asyncpg.Pool, redis_url: str, submit: Submit, claim_task: Claim
) -> None:
    waiting, unknown, lost = await submit(), await submit(), await submit()
    await database.execute("UPDATE jobs SET interactive = true")
    await settle(
        database,
        await claim_task(waiting),
        Failed(Failure(code=FailureCode.TIMEOUT, message="slow", transient=True)),
        policy=RetryPolicy(waits_s=(0.0,), longest_retry_after_s=0),
    )
    await database.execute("UPDATE tasks SET not_before = now() WHERE id = $1", waiting)
    await database.execute(AGE, unknown)
    await claim_task(lost, lease_s=0)
    rescuer = Rescuer(database, POLICY)
    async with Redis.from_url(redis_url) as redis:
        dispatches = [
            *await run_locked(database, "reconcile", Reconciler(alone(redis))),
            *await run_locked(database, "wake", wake),
            *await run_locked(database, "rescue", rescuer),
            *await run_locked(database, "rescue", rescuer),
        ]
        assert {one.task_id for one in dispatches} == {waiting, unknown, lost}
        assert all(one.interactive for one in dispatches)
        await enqueue(redis, dispatches)
        assert await redis.zcount(COMPUTE_QUEUE, "-inf", "(0") == 3


async def test_a_task_is_rescued_when_its_lease_is_expired_in_two_runs(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    alive = await claim_task(await submit(), lease_s=3600)
    lost = await claim_task(await submit(), lease_s=0)
    rescuer = Rescuer(database, POLICY)

    assert await run_locked(database, "rescue", rescuer) == []
    assert await run_locked(database, "rescue", rescuer) == [Dispatch(lost.id, 2, TaskKind.PREPARE, has_begun=True)]

    row = await task_row(database, lost.id)
    assert (row["state"], row["crashes"], row["attempts"]) == ("dispatched", 1, 0)
    assert (await task_row(database, alive.id))["state"] == "running"


async def test_a_worker_that_extends_its_lease_keeps_its_task(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit(), lease_s=0)
    rescuer = Rescuer(database, POLICY)
    await run_locked(database, "rescue", rescuer)

    await database.execute("UPDATE tasks SET lease_expires_at = now() + interval '1 minute' WHERE id = $1", task.id)

    assert await run_locked(database, "rescue", rescuer) == []
    assert (await task_row(database, task.id))["lease_token"] == task.lease_token


async def test_the_third_lost_worker_is_poison(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    task_id = await submit(webhook_url="http://client/hook")
    changed: list[UUID] = []
    rescuer = Rescuer(database, POLICY, lambda job_id, _: changed.append(job_id))
    dispatches: list[Dispatch] = []
    for _ in range(3):
        task = await claim_task(task_id, lease_s=0)
        await run_locked(database, "rescue", rescuer)
        dispatches = await run_locked(database, "rescue", rescuer)

    row = await task_row(database, task_id)
    assert (row["state"], row["crashes"], row["attempts"]) == ("dead", 3, 0)
    job = await job_row(database, task.job_id)
    assert (job["status"], job["error_code"]) == ("FAILED", "poison")
    assert changed == [task.job_id]
    assert [one.kind for one in dispatches] == [TaskKind.DELIVER]


async def test_reconcile_enqueues_only_what_redis_does_not_know(
    database: asyncpg.Pool, redis_url: str, submit: Submit
) -> None:
    known, unknown, just_now = await submit(), await submit(), await submit()
    for old in (known, unknown):
        await database.execute(AGE, old)
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, [Dispatch(known, 1, TaskKind.PREPARE)])

        assert await run_locked(database, "reconcile", Reconciler(alone(redis))) == [
            Dispatch(unknown, 2, TaskKind.PREPARE)
        ]
        assert (await task_row(database, just_now))["dispatch_no"] == 1


async def test_reconcile_enqueues_what_was_taken_and_not_claimed(
    database: asyncpg.Pool, redis_url: str, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker was killed in between. The task has waited already, so it goes first."""
    first, second = await submit(), await submit()
    for old in (first, second):
        await database.execute(AGE, old)
    dispatches = [Dispatch(one, 1, TaskKind.PREPARE, cost_s=60) for one in (first, second)]
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, dispatches)
        (taken,) = await take(redis, COMPUTE_QUEUE, 1)
        reconciler = Reconciler(alone(redis))
        assert await run_locked(database, "reconcile", reconciler) == []

        monkeypatch.setattr(reconcile, "UNCLAIMED_S", 0.0)
        (lost,) = await run_locked(database, "reconcile", reconciler)
        assert (lost.previous.arq_id, lost.dispatch_no) == (taken, 2)
        await enqueue(redis, [lost])

        assert await redis.zrange(COMPUTE_QUEUE, 0, 0) == [lost.arq_id.encode()]
        assert not await redis.zscore(taken_key(COMPUTE_QUEUE), taken)


async def test_reconcile_compares_a_long_backlog_with_a_few_commands(
    database: asyncpg.Pool, redis_url: str, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 10)
    task_ids = [await submit() for _ in range(25)]
    await database.execute("UPDATE tasks SET dispatched_at = now() - interval '1 minute'")
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, [Dispatch(task_id, 1, TaskKind.PREPARE) for task_id in task_ids])
        async with sent_commands(redis) as sent:
            assert await run_locked(database, "reconcile", Reconciler(alone(redis))) == []
    assert sent.names == ["ZMSCORE", "ZMSCORE", "TIME"] * 3


async def test_one_worker_at_a_time_runs_a_maintenance_job(database: asyncpg.Pool) -> None:
    async def nested(_connection: asyncpg.Connection) -> list[Dispatch]:
        return await run_locked(database, "same", unexpected)

    async def unexpected(_connection: asyncpg.Connection) -> list[Dispatch]:
        pytest.fail("the lock was not held")

    assert await run_locked(database, "same", nested) == []


async def test_enqueueing_twice_has_no_further_effect(redis_url: str) -> None:
    dispatch = Dispatch(new_id(), 1, TaskKind.PREPARE)
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, [dispatch])
        await enqueue(redis, [dispatch])

        assert await redis.zcard(COMPUTE_QUEUE) == 1


async def test_a_started_task_goes_before_the_backlog(redis_url: str) -> None:
    backlog = [Dispatch(new_id(), 1, TaskKind.PREPARE) for _ in range(3)]
    rescued = Dispatch(new_id(), 2, TaskKind.CHUNK, has_begun=True)
    async with Redis.from_url(redis_url) as redis:
        for dispatch in (*backlog, rescued):
            await enqueue(redis, [dispatch])

        order = [arq_id.decode() for arq_id in await redis.zrange(COMPUTE_QUEUE, 0, -1)]
    assert order[0] == rescued.arq_id
    assert set(order[1:]) == {dispatch.arq_id for dispatch in backlog}


async def test_prune_removes_outdated_dispatches(
    database: asyncpg.Pool, redis_url: str, submit: Submit, claim_task: Claim
) -> None:
    waiting, running, outdated, gone = await submit(), await submit(), await submit(), new_id()
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, [Dispatch(task_id, 1, TaskKind.PREPARE) for task_id in (waiting, running, outdated, gone)])
        await redis.zadd(COMPUTE_QUEUE, {"other.member": 1})
        await claim_task(running)
        await database.execute("UPDATE tasks SET dispatch_no = 3 WHERE id = $1", outdated)

        await run_locked(database, "prune", Pruner(alone(redis)))

        left = {member.decode() for member in await redis.zrange(COMPUTE_QUEUE, 0, -1)}
        assert left == {f"{waiting}.1", f"{running}.1", "other.member"}
        assert len(await redis.keys("arq:job:*")) == 2
