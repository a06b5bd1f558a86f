"""Window feeds over a real Redis: in order, from the start, with one connection, and never in the way of a task."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ingest_service.jobs import window_feed
from ingest_service.jobs.window_feed import WindowFeed, WindowReader
from processor_service.tasks import publish_windows
from processor_service.tasks.publish_windows import WindowPublisher
from shared.connections.redis import open_redis
from shared.ids import new_id
from shared.schemas.windows import Window, WindowSegment
from shared.window_feed import EXPIRE_S, MAX_ENTRIES, append_windows, window_key
from tests.support.ingest.proxy import proxied
from tests.support.ingest.serving import until


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url, socket_timeout=2.0) as client:
        yield client


@pytest_asyncio.fixture
async def feed(redis: Redis) -> AsyncIterator[WindowFeed]:
    async with WindowFeed.opened(redis) as opened:
        yield opened


def _window(number: int, chunk: int = 0, *, is_last: bool = False) -> Window:
    segment = WindowSegment(start=float(number), end=number + 1.0, text=f"{chunk}.{number}")
    return Window(chunk=chunk, number=number, segments=(segment,), is_last=is_last)


async def _next(reader: WindowReader, count: int) -> list[Window]:
    async with asyncio.timeout(10):
        return [await reader.next() for _ in range(count)]


async def test_windows_arrive_in_order_of_time(redis: Redis, feed: WindowFeed) -> None:
    job_id = new_id()
    windows = [_window(0), _window(1, is_last=True), _window(0, 1), _window(1, 1, is_last=True)]
    async with WindowPublisher.opened(redis) as publisher:
        with feed.reading(job_id) as reader:
            for one in (windows[2], windows[0], windows[3], windows[1]):
                publisher.publish(job_id, one)
            assert await _next(reader, 4) == windows


async def test_a_late_reader_begins_at_the_start(redis: Redis, feed: WindowFeed) -> None:
    job_id = new_id()
    windows = [_window(number) for number in range(300)]  # more than one read
    await append_windows(redis, [(job_id, one) for one in windows])
    with feed.reading(job_id) as first, feed.reading(job_id) as second:
        assert await _next(first, 300) == windows
        await append_windows(redis, [(job_id, _window(300))])
        assert await _next(second, 301) == [*windows, _window(300)]
        assert await _next(first, 1) == [_window(300)]


async def test_many_readers_share_one_connection(redis: Redis, feed: WindowFeed) -> None:
    jobs = [new_id() for _ in range(200)]
    before = (await redis.info("clients"))["connected_clients"]
    readers = [feed.reading(job_id) for job_id in jobs]
    opened = [one.__enter__() for one in readers]
    await append_windows(redis, [(job_id, _window(0)) for job_id in jobs])

    assert [await _next(one, 1) for one in opened] == [[_window(0)]] * 200
    assert (await redis.info("clients"))["connected_clients"] <= before + 1
    for one in readers:
        one.__exit__(None, None, None)


async def test_a_reader_that_does_not_read_holds_few_windows(redis: Redis, feed: WindowFeed) -> None:
    slow, fast = new_id(), new_id()
    await append_windows(redis, [(slow, _window(number)) for number in range(1000)])
    with feed.reading(slow) as unread, feed.reading(fast) as reader:
        await append_windows(redis, [(fast, _window(number)) for number in range(1000)])
        await _next(reader, 1000)
        assert unread.held <= window_feed.ROOM + window_feed.ENTRIES_AT_ONCE
        assert await _next(unread, 1000) == [_window(number) for number in range(1000)]


async def test_a_feed_is_bounded_and_expires(redis: Redis) -> None:
    job_id = new_id()
    for first in range(0, MAX_ENTRIES + 1000, 1000):
        await append_windows(redis, [(job_id, _window(first + number)) for number in range(1000)])

    assert await redis.xlen(window_key(job_id)) <= MAX_ENTRIES + 200
    assert EXPIRE_S - 60 < await redis.ttl(window_key(job_id)) <= EXPIRE_S


async def test_entries_of_an_unknown_form_are_skipped(redis: Redis, feed: WindowFeed) -> None:
    job_id = new_id()
    with feed.reading(job_id) as reader:
        await redis.xadd(window_key(job_id), {"other": "fields"})
        await redis.xadd(window_key(job_id), {"w": b"\xc1"})
        await append_windows(redis, [(job_id, _window(0))])
        assert await _next(reader, 1) == [_window(0)]


async def test_readers_continue_after_an_outage(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_feed, "RETRY_S", 0.01)
    job_id = new_id()
    async with (
        proxied(redis_url) as proxy,
        open_redis(proxy.url) as cut,
        open_redis(redis_url) as redis,
        WindowFeed.opened(cut) as feed,
    ):
        with feed.reading(job_id) as reader:
            await append_windows(redis, [(job_id, _window(0))])
            assert await _next(reader, 1) == [_window(0)]
            await proxy.close()
            await append_windows(redis, [(job_id, _window(1))])
            await proxy.open()
            assert await _next(reader, 1) == [_window(1)]


async def test_a_frozen_redis_delays_no_task(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_windows, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(publish_windows, "MAX_WAITING", 10)
    job_id = new_id()
    async with proxied(redis_url) as proxy, open_redis(proxy.url) as frozen, open_redis(redis_url) as redis:
        proxy.freeze()
        async with WindowPublisher.opened(frozen) as publisher:
            for number in range(10_000):
                publisher.publish(job_id, _window(number))  # returns at once, and drops what does not fit
            proxy.thaw()
            await until(lambda: _publishes(publisher, redis, job_id))


async def _publishes(publisher: WindowPublisher, redis: Redis, job_id: UUID) -> bool:
    publisher.publish(job_id, _window(10_000))
    return bool(await redis.xlen(window_key(job_id)))
