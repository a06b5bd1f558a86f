"""Hints make event streams immediate: one query a hint and none between them; polls replace lost hints."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ingest_service.settings import IngestSettings
from shared.connections.redis import open_redis
from shared.connections.redis_shards import alone
from shared.ids import new_id
from shared.job_hints import JobHints, channel_of
from shared.secret import Secret
from tests.support.ingest import records
from tests.support.ingest.following import Stream, following
from tests.support.ingest.proxy import Proxy, proxied, silent_server
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

NEVER_S = 3600.0
SET_PROGRESS = "UPDATE tasks SET progress = $2 WHERE job_id = $1"


@pytest.fixture
def set_poll(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change how often all watched jobs are read. A test without polls shows that hints suffice."""

    def changed(*, poll_s: float = NEVER_S, blind_poll_s: float = NEVER_S) -> None:
        monkeypatch.setattr("ingest_service.jobs.events.POLL_S", poll_s)
        monkeypatch.setattr("ingest_service.jobs.events.BLIND_POLL_S", blind_poll_s)

    return changed


@pytest_asyncio.fixture
async def redis(settings: IngestSettings) -> AsyncIterator[Redis]:
    async with open_redis(settings.redis_url.reveal()) as redis:
        yield redis


@asynccontextmanager
async def through_proxy(settings: IngestSettings) -> AsyncIterator[tuple[Ingest, Proxy]]:
    """An ingest whose connections to Redis can be cut. Hints of the test itself do not pass the proxy."""
    async with (
        proxied(settings.redis_url.reveal()) as proxy,
        serving(settings, redis_url=Secret(proxy.url)) as ingest,
    ):
        ingest.settings = settings
        yield ingest, proxy


async def queries(ingest: Ingest) -> float:
    return (await scrape(ingest)).get("event_queries_total")


async def subscribers(redis: Redis, job_id: str) -> int:
    ((_, count),) = await redis.pubsub_numsub(channel_of(UUID(job_id)))
    return int(count)


async def connections(redis: Redis) -> int:
    return len(await redis.client_list(_type="pubsub"))


async def is_followed(redis: Redis, job_id: str, times: int = 1) -> bool:
    return await subscribers(redis, job_id) == times


async def start_hinted(ingest: Ingest, redis: Redis, job_id: str, stream: Stream) -> None:
    """Read the events until the stream is followed by hints alone."""
    await stream.next()
    await until(lambda: is_followed(redis, job_id))
    await records.start(ingest, job_id)
    assert (await stream.next()).data["status"] == "PROCESSING"
    await all_read(ingest)


async def all_read(ingest: Ingest) -> None:
    """Wait until no query follows: a hint that arrives during one causes another."""
    before = -1.0

    async def is_unchanged() -> bool:
        nonlocal before
        last, before = before, await queries(ingest)
        return before == last

    await until(is_unchanged)


async def test_a_hint_costs_one_query_and_nothing_else_does(
    ingest: Ingest, redis: Redis, set_poll: Callable[..., None]
) -> None:
    set_poll()
    job_id, other = await ingest.submit(wav()), await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        await start_hinted(ingest, redis, job_id, stream)
        before = await queries(ingest)
        for step in (1, 2, 3):
            await ingest.sql(SET_PROGRESS, job_id, step / 4)
            await ingest.hint(other, str(new_id()))  # of jobs without a follower
            await ingest.hint(job_id)
            assert (await stream.next()).data["progress"] == step / 4
            assert await queries(ingest) == before + step


async def test_a_hint_without_a_change_is_no_event(ingest: Ingest, redis: Redis, set_poll: Callable[..., None]) -> None:
    set_poll()
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        await start_hinted(ingest, redis, job_id, stream)
        await ingest.hint(job_id)
        await records.complete(ingest, job_id)
        assert (await stream.next()).data["status"] == "COMPLETED"
        await stream.ends()


async def test_a_change_before_the_subscription_is_not_missed(ingest: Ingest, set_poll: Callable[..., None]) -> None:
    set_poll()
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as one:
        await one.next()
        async with following(ingest, job_id) as two:
            await records.start(ingest, job_id)
            states = [(await stream.next()).data["status"] for stream in (one, two)]
            if states[1] == "QUEUED":
                states[1] = (await two.next()).data["status"]
    assert states == ["PROCESSING", "PROCESSING"]


async def test_one_connection_a_process_while_a_job_is_followed(ingest: Ingest, redis: Redis) -> None:
    jobs = [await ingest.submit(wav()) for _ in range(3)]
    assert await connections(redis) == 0
    async with following(ingest, jobs[0]) as first, following(ingest, jobs[1]), following(ingest, jobs[2]) as last:
        for job_id in jobs:
            await until(lambda job_id=job_id: is_followed(redis, job_id))
        assert await connections(redis) == 1
        first.answer.close()
        await until(lambda: is_followed(redis, jobs[0], 0))
        assert await connections(redis) == 1
        await records.start(ingest, jobs[2])
        await last.next()

    async def is_closed() -> bool:
        return await connections(redis) == 0

    await until(is_closed)
    async with following(ingest, jobs[0]):
        await until(lambda: is_followed(redis, jobs[0]))


async def test_each_process_receives_the_hints_of_its_own_jobs(
    settings: IngestSettings, redis: Redis, set_poll: Callable[..., None]
) -> None:
    set_poll()
    async with serving(settings) as one, serving(settings) as two:
        job_id, other = await one.submit(wav()), await one.submit(wav())
        async with following(one, job_id) as first, following(two, job_id) as second, following(two, other) as third:
            for stream in (first, second, third):
                await stream.next()
            await until(lambda: is_followed(redis, job_id, times=2))
            await until(lambda: is_followed(redis, other))
            await records.complete(one, job_id)
            for stream in (first, second):
                assert (await stream.next()).data["status"] == "COMPLETED"
            assert (await two.post(b"", f"/v1/jobs/{other}/cancel"))[0] == 200
            assert (await third.next()).data["status"] == "CANCELLED"


async def test_a_job_that_another_process_cancels_or_erases(
    settings: IngestSettings, redis: Redis, set_poll: Callable[..., None]
) -> None:
    set_poll()
    async with serving(settings) as one, serving(settings) as two:
        cancelled, erased = await one.submit(wav()), await one.submit(wav())
        async with following(one, cancelled) as first, following(one, erased) as second:
            await first.next()
            await second.next()
            for job_id in (cancelled, erased):
                await until(lambda job_id=job_id: is_followed(redis, job_id))
            assert (await two.post(b"", f"/v1/jobs/{cancelled}/cancel"))[0] == 200
            assert await two.delete(f"/v1/jobs/{erased}") == 204
            assert (await first.next()).data["status"] == "CANCELLED"
            assert (await second.next()).data["status"] == "CANCELLED"


async def test_without_redis_all_jobs_are_polled(settings: IngestSettings, set_poll: Callable[..., None]) -> None:
    set_poll(blind_poll_s=0.05)
    async with through_proxy(settings) as (ingest, proxy):
        await proxy.close()
        job_id = await ingest.submit(wav())
        async with following(ingest, job_id) as stream:
            await stream.next()
            await records.start(ingest, job_id)
            assert (await stream.next()).data["status"] == "PROCESSING"
            await proxy.open()
            set_poll()
            await records.complete(ingest, job_id)
            assert (await stream.next()).data["status"] == "COMPLETED"


async def test_a_lost_hint_is_replaced_by_the_next_poll(
    ingest: Ingest, redis: Redis, set_poll: Callable[..., None]
) -> None:
    set_poll(poll_s=0.05)
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        await start_hinted(ingest, redis, job_id, stream)
        await ingest.sql(SET_PROGRESS, job_id, 0.5)
        assert (await stream.next()).data["progress"] == 0.5


async def test_a_reconnection_reads_every_job_again(
    settings: IngestSettings, redis: Redis, set_poll: Callable[..., None]
) -> None:
    set_poll()
    async with through_proxy(settings) as (ingest, proxy):
        job_id = await ingest.submit(wav())
        async with following(ingest, job_id) as stream:
            await start_hinted(ingest, redis, job_id, stream)
            await proxy.close()
            await until(lambda: is_followed(redis, job_id, 0))
            await ingest.sql(SET_PROGRESS, job_id, 0.5)
            await ingest.hint(job_id)  # lost
            await proxy.open()
            assert (await stream.next()).data["progress"] == 0.5


async def test_a_frozen_redis_is_noticed(
    settings: IngestSettings, redis: Redis, set_poll: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_service.jobs.hints.HEARTBEAT_S", 0.05)
    monkeypatch.setattr("ingest_service.jobs.hints.DEAD_AFTER_S", 0.5)
    set_poll(blind_poll_s=0.05)
    async with through_proxy(settings) as (ingest, proxy):
        job_id = await ingest.submit(wav())
        async with following(ingest, job_id) as stream:
            await start_hinted(ingest, redis, job_id, stream)
            proxy.freeze()
            await records.complete(ingest, job_id)
            assert (await stream.next()).data["status"] == "COMPLETED"


async def test_hints_are_dropped_during_an_outage_and_published_after_it(redis: Redis) -> None:
    job_id, later = new_id(), new_id()
    async with redis.pubsub() as pubsub, silent_server() as address, open_redis(f"redis://{address}") as silent:
        await pubsub.subscribe(channel_of(job_id), channel_of(later))
        async with JobHints.opened(alone(silent)) as hints:
            hints.changed(job_id, "default")  # the block ends although nothing answers
        assert not hints._publishers.of("")._changed
        async with JobHints.opened(alone(redis)) as hints:
            hints.changed(later, "default")
            hints.changed(later, "default")
        channels = [message["channel"] async for message in _messages(pubsub)]
    assert channels == [channel_of(later).encode()]


async def _messages(pubsub: object) -> AsyncIterator[dict[str, bytes]]:
    """The hints that have arrived. A pong arrives after all of them."""
    await pubsub.ping()  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        while (message := await pubsub.get_message(timeout=None)) is None or message["type"] != "pong":  # type: ignore[attr-defined]
            if message is not None and message["type"] == "message":
                yield message
