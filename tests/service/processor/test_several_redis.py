"""Maintenance with two Redis, of which one does not answer: it is skipped, and the other is served."""

import json
from collections.abc import AsyncIterator
from itertools import count
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from ingest_service.auth.__main__ import CREATE_TENANT
from ingest_service.installed_models import InstalledModels
from processor_service.maintenance.dead_letters import DeadLetterList
from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.reconcile import Pruner, Reconciler
from processor_service.tasks.outcomes import Failed
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.connections.redis import FAILED, RedisConnectionError
from shared.connections.redis_shards import RedisShards, ask_each, open_redis_shards, shard_of
from shared.ids import new_id
from shared.queue.announced_models import announce_models
from shared.queue.dispatch import COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import enqueue, enqueue_by_tenant
from shared.schemas.failures import DEAD_LETTER_LIST, Failure, FailureCode
from shared.schemas.states import TaskKind
from tests.service.processor.conftest import Claim, Submit, task_row
from tests.support.ingest.proxy import Proxy, proxied
from tests.support.ingest.serving import until

WELL, ILL = "well", "ill"
NAMES = (WELL, ILL)
OF_TENANT = "UPDATE jobs SET tenant = $2 FROM tasks t WHERE t.job_id = jobs.id AND t.id = $1"
LONG_AGO = "UPDATE tasks SET dispatched_at = now() - interval '1 minute'"


def tenant_of(name: str) -> str:
    return next(tenant for tenant in map("tenant-{}".format, count()) if shard_of(tenant, NAMES) == name)


@pytest_asyncio.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """The second Redis, which tests may freeze."""
    async with proxied(redis_url) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def shards(redis_url: str, proxy: Proxy) -> AsyncIterator[RedisShards]:
    """Two databases of one server."""
    urls = f"{redis_url}?db=1&name={WELL} {proxy.url}?db=2&name={ILL}"
    async with open_redis_shards(urls, socket_timeout=2.0, socket_connect_timeout=2.0) as shards:
        yield shards


async def submit_as(database: asyncpg.Pool, submit: Submit, tenant: str) -> UUID:
    task_id = await submit()
    await database.execute(CREATE_TENANT, tenant)
    await database.execute(OF_TENANT, task_id, tenant)
    return task_id


def first(task_id: UUID, tenant: str = "default") -> Dispatch:
    return Dispatch(task_id, 1, TaskKind.PREPARE, tenant)


async def members(shards: RedisShards) -> dict[str, list[str]]:
    found = {}
    for shard in shards:
        found[shard.name] = [one.decode() for one in await shard.redis.zrange(COMPUTE_QUEUE, 0, -1)]
    return found


async def is_open(shards: RedisShards) -> bool:
    return all(shard.answers for shard in shards)


async def test_a_redis_that_does_not_answer_is_asked_once_until_it_answers_a_probe(
    shards: RedisShards, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.connections.redis_shards.ANSWER_S", 0.2)
    ill = shards.by_name[ILL]
    assert await ill.ask(lambda redis: redis.ping())
    proxy.freeze()
    with pytest.raises(TimeoutError):
        await ill.ask(lambda redis: redis.ping(), within_s=0.2)
    with pytest.raises(RedisConnectionError, match="ill does not answer"):
        await ill.ask(lambda _: pytest.fail("it was asked"))
    answers = await ask_each(shards, lambda redis: redis.ping())
    assert [shard.name for shard in answers.by_shard] == [WELL]
    proxy.thaw()
    await until(lambda: is_open(shards))
    assert len((await ask_each(shards, lambda redis: redis.ping())).by_shard) == len(NAMES)


async def test_a_single_redis_is_always_asked(proxy: Proxy) -> None:
    async with open_redis_shards(proxy.url, socket_timeout=0.2) as shards:
        (only,) = shards
        proxy.freeze()
        with pytest.raises(FAILED):
            await only.ask(lambda redis: redis.ping())
        proxy.thaw()
        assert await only.ask(lambda redis: redis.ping())


async def test_dispatches_go_to_the_redis_of_their_tenant_and_an_ill_one_delays_no_other(
    shards: RedisShards, proxy: Proxy
) -> None:
    well, ill = [first(new_id(), tenant_of(name)) for name in NAMES]
    await enqueue_by_tenant(shards, [ill, well])
    assert await members(shards) == {WELL: [well.arq_id], ILL: [ill.arq_id]}
    more, lost = [first(new_id(), tenant_of(name)) for name in NAMES]
    proxy.freeze()
    with pytest.raises(FAILED):
        await enqueue_by_tenant(shards, [lost, more])
    proxy.thaw()
    assert (await members(shards))[WELL] == sorted([well.arq_id, more.arq_id])


async def test_reconcile_skips_the_tenants_of_a_redis_that_does_not_answer(
    database: asyncpg.Pool, submit: Submit, shards: RedisShards, proxy: Proxy
) -> None:
    task_ids = {name: await submit_as(database, submit, tenant_of(name)) for name in NAMES}
    await database.execute(LONG_AGO)
    proxy.freeze()
    (found,) = await run_locked(database, "reconcile", Reconciler(shards))
    assert (found.task_id, found.dispatch_no, found.tenant) == (task_ids[WELL], 2, tenant_of(WELL))
    proxy.thaw()
    await until(lambda: is_open(shards))
    (found,) = await run_locked(database, "reconcile", Reconciler(shards))
    assert found.task_id == task_ids[ILL]


async def test_reconcile_fails_if_no_redis_answers(
    database: asyncpg.Pool, submit: Submit, shards: RedisShards, proxy: Proxy
) -> None:
    task_id = await submit_as(database, submit, tenant_of(ILL))
    await database.execute(LONG_AGO)
    proxy.freeze()
    with pytest.raises(FAILED):
        await run_locked(database, "reconcile", Reconciler(shards))
    assert (await task_row(database, task_id))["dispatch_no"] == 1


async def test_a_task_that_waits_in_another_redis_stays_there(
    database: asyncpg.Pool, submit: Submit, shards: RedisShards
) -> None:
    task_id = await submit_as(database, submit, tenant_of(ILL))
    await enqueue(shards.by_name[WELL].redis, [first(task_id, tenant_of(ILL))])
    await database.execute(LONG_AGO)
    assert await run_locked(database, "reconcile", Reconciler(shards)) == []
    await run_locked(database, "prune", Pruner(shards))
    assert await members(shards) == {WELL: [f"{task_id}.1"], ILL: []}


async def test_a_task_of_another_redis_that_does_not_answer_is_enqueued_in_its_own(
    database: asyncpg.Pool, submit: Submit, shards: RedisShards, proxy: Proxy
) -> None:
    task_id = await submit_as(database, submit, tenant_of(WELL))
    await enqueue(shards.by_name[ILL].redis, [first(task_id, tenant_of(WELL))])
    await database.execute(LONG_AGO)
    proxy.freeze()
    redispatched = await run_locked(database, "reconcile", Reconciler(shards))
    await enqueue_by_tenant(shards, redispatched)
    proxy.thaw()
    await until(lambda: is_open(shards))
    await run_locked(database, "prune", Pruner(shards))
    assert await members(shards) == {WELL: [f"{task_id}.2"], ILL: []}


async def test_prune_goes_on_without_a_redis_that_does_not_answer(
    database: asyncpg.Pool, shards: RedisShards, proxy: Proxy
) -> None:
    for shard in shards:
        await enqueue(shard.redis, [first(new_id())])
    proxy.freeze()
    with pytest.raises(FAILED):
        await run_locked(database, "prune", Pruner(shards))
    proxy.thaw()
    found = await members(shards)
    assert (found[WELL], len(found[ILL])) == ([], 1)


async def test_each_redis_has_all_dead_letters(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim, shards: RedisShards, proxy: Proxy
) -> None:
    keep = DeadLetterList(shards)

    async def fail() -> str:
        task = await claim_task(await submit())
        failed = Failed(Failure(code=FailureCode.UNDECODABLE_AUDIO, message="damaged"))
        await settle(database, task, failed, policy=RetryPolicy(waits_s=(), longest_retry_after_s=0))
        return str(task.job_id)

    async def listed(name: str) -> list[str]:
        entries = await shards.by_name[name].redis.lrange(DEAD_LETTER_LIST, 0, -1)  # type: ignore[misc]
        return [json.loads(entry)["job_id"] for entry in entries]

    one = await fail()
    await run_locked(database, "dead_letters", keep)
    assert [await listed(name) for name in NAMES] == [[one], [one]]
    proxy.freeze()
    two = await fail()
    with pytest.raises(FAILED):
        await run_locked(database, "dead_letters", keep)
    assert await listed(WELL) == [one, two]
    proxy.thaw()
    await until(lambda: is_open(shards))
    await run_locked(database, "dead_letters", keep)
    assert await listed(ILL) == [one, two]


async def test_models_are_those_that_any_redis_knows(shards: RedisShards, proxy: Proxy) -> None:
    models = InstalledModels(shards)
    await announce_models(shards.by_name[WELL].redis, ["tiny"])
    await announce_models(shards.by_name[ILL].redis, ["base"])
    await models.refresh()
    known = models.names
    proxy.freeze()
    await models.refresh()
    assert (known, models.names) == (("base", "tiny"), ("tiny",))
