"""Upload slots are counted over all processes, expire with their process, and are divided without Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis

from ingest_service.errors import LimitError
from ingest_service.quotas.concurrent_uploads import KEY, UploadSlot, UploadSlots
from ingest_service.quotas.redis_state import SharedRedis

UNREACHABLE = "redis://127.0.0.1:1"


@asynccontextmanager
async def processes(redis_url: str, count: int = 2) -> AsyncIterator[list[UploadSlots]]:
    """The slots of several processes, each with its own connection."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(count):
            redis = await stack.enter_async_context(Redis.from_url(redis_url))
            shared = await stack.enter_async_context(SharedRedis.opened(redis))
            opened.append(await stack.enter_async_context(UploadSlots.opened(shared, count)))
        yield opened


async def taken(opened: list[UploadSlots], each: int, at_once: int) -> list[UploadSlot]:
    """The slots granted when each process requests `each` concurrently."""
    asking = (uploads.take("a", at_once) for uploads in opened for _ in range(each))
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {UploadSlot, LimitError}
    return [outcome for outcome in outcomes if isinstance(outcome, UploadSlot)]


@pytest.mark.parametrize("at_once", [1, 3, 7])
async def test_all_processes_together_take_exactly_the_quota(redis_url: str, at_once: int) -> None:
    async with processes(redis_url) as pair:
        slots = await taken(pair, 10, at_once)
        assert len(slots) == at_once
        await slots[0].release()
        await slots[0].release()  # changes nothing
        assert len(await taken(pair, 10, at_once)) == 1
        with pytest.raises(LimitError, match="uploads_at_once"):
            await pair[1].take("a", at_once)
        await pair[1].take("b", 1)


async def test_a_released_slot_leaves_nothing_in_redis(redis_url: str) -> None:
    async with processes(redis_url, 1) as (uploads,), Redis.from_url(redis_url) as redis:
        slot = await uploads.take("a", 1)
        assert await redis.zcard(KEY.format(tenant="a")) == 1
        await slot.release()
        assert (uploads._taken, await redis.keys("*")) == ({}, [])


async def test_a_slot_expires_with_its_process_and_is_renewed_by_heartbeats(redis_url: str) -> None:
    async with processes(redis_url) as (dead, living), Redis.from_url(redis_url) as redis:
        await dead.take("a", 2)
        await living.take("a", 2)
        key = KEY.format(tenant="a")
        for member in await redis.zrange(key, 0, -1):
            await redis.zadd(key, {member: 1})  # as after half a minute
        await living.renew_all()
        assert len(await taken([living], 5, 2)) == 1


async def test_a_heartbeat_does_not_restore_a_released_slot(redis_url: str) -> None:
    async with processes(redis_url, 1) as (uploads,), Redis.from_url(redis_url) as redis:
        slot = await uploads.take("a", 1)
        await redis.zrem(KEY.format(tenant="a"), slot.id)
        await uploads.renew_all()
        assert await redis.keys("*") == []


async def test_without_redis_each_process_takes_its_share() -> None:
    async with processes(UNREACHABLE) as pair:
        slots = await taken(pair, 10, 3)
        assert len(slots) == 4  # two each
        await slots[0].release()
        assert len(await taken(pair, 10, 3)) == 1
