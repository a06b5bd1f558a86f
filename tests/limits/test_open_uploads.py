"""Places of uploads are counted over all processes, end with their process, and are shared out without Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis

from ingest_service.errors import LimitError
from ingest_service.quotas.concurrent_uploads import KEY, OpenUploads, Place
from ingest_service.quotas.redis_state import SharedRedis

NOBODY = "redis://127.0.0.1:1"


@asynccontextmanager
async def processes(redis_url: str, count: int = 2) -> AsyncIterator[list[OpenUploads]]:
    """As many would have: each its own connection."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(count):
            redis = await stack.enter_async_context(Redis.from_url(redis_url))
            shared = await stack.enter_async_context(SharedRedis.opened(redis))
            opened.append(await stack.enter_async_context(OpenUploads.opened(shared, count)))
        yield opened


async def taken(opened: list[OpenUploads], each: int, at_once: int) -> list[Place]:
    """The places that were had when so many were asked for in each process at once."""
    asking = (uploads.take("a", at_once) for uploads in opened for _ in range(each))
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {Place, LimitError}
    return [outcome for outcome in outcomes if isinstance(outcome, Place)]


@pytest.mark.parametrize("at_once", [1, 3, 7])
async def test_all_together_take_exactly_what_there_is(redis_url: str, at_once: int) -> None:
    async with processes(redis_url) as pair:
        places = await taken(pair, 10, at_once)
        assert len(places) == at_once
        await places[0].give_back()
        await places[0].give_back()  # changes nothing
        assert len(await taken(pair, 10, at_once)) == 1
        with pytest.raises(LimitError, match="uploads_at_once"):
            await pair[1].take("a", at_once)
        await pair[1].take("b", 1)


async def test_what_was_given_back_is_forgotten(redis_url: str) -> None:
    async with processes(redis_url, 1) as (uploads,), Redis.from_url(redis_url) as redis:
        place = await uploads.take("a", 1)
        assert await redis.zcard(KEY.format(tenant="a")) == 1
        await place.give_back()
        assert (uploads._open, await redis.keys("*")) == ({}, [])


async def test_a_place_ends_with_its_process_and_is_kept_while_that_lives(redis_url: str) -> None:
    async with processes(redis_url) as (dead, living), Redis.from_url(redis_url) as redis:
        await dead.take("a", 2)
        await living.take("a", 2)
        key = KEY.format(tenant="a")
        for member in await redis.zrange(key, 0, -1):
            await redis.zadd(key, {member: 1})  # as after half a minute
        await living.beat()
        assert len(await taken([living], 5, 2)) == 1


async def test_a_beat_does_not_bring_back_what_was_given_back(redis_url: str) -> None:
    async with processes(redis_url, 1) as (uploads,), Redis.from_url(redis_url) as redis:
        place = await uploads.take("a", 1)
        await redis.zrem(KEY.format(tenant="a"), place.id)
        await uploads.beat()
        assert await redis.keys("*") == []


async def test_without_redis_each_process_takes_its_share() -> None:
    async with processes(NOBODY) as pair:
        places = await taken(pair, 10, 3)
        assert len(places) == 4  # two each
        await places[0].give_back()
        assert len(await taken(pair, 10, 3)) == 1
