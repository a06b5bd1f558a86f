"""Requests that wait for a job: they get its end, and a job that no request waits for any more is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ingest_service.errors import RefusedError
from ingest_service.jobs.views import JobKey
from ingest_service.jobs.waiting import wait_until_over
from ingest_service.services import Services, open_services
from ingest_service.settings import IngestSettings
from shared.blobs.blob_store import BlobStore
from shared.connections.redis import open_redis
from shared.ids import new_id
from shared.job_hints import channel_of
from shared.schemas.states import JobStatus
from shared.secret import Secret
from tests.support.ingest import records
from tests.support.ingest.following import following
from tests.support.ingest.proxy import proxied
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav

LONG_S = 3600.0


@pytest_asyncio.fixture
async def redis(settings: IngestSettings) -> AsyncIterator[Redis]:
    async with open_redis(settings.redis_url.reveal()) as redis:
        yield redis


@pytest.fixture
def impatient(settings: IngestSettings, monkeypatch: pytest.MonkeyPatch) -> IngestSettings:
    """Settings without a grace."""
    monkeypatch.setattr("ingest_service.jobs.waiting.CONFIRM_AFTER_S", 0.05)
    return msgspec.structs.replace(settings, hang_up_grace_s=0.05)


@asynccontextmanager
async def process(settings: IngestSettings, stopping: asyncio.Event | None = None) -> AsyncIterator[Services]:
    """The services of one more ingest process."""
    async with open_services(settings, BlobStore(settings.storage_url), stopping or asyncio.Event()) as services:
        yield services


async def submitted(ingest: Ingest) -> JobKey:
    return JobKey("default", UUID(await ingest.submit(wav())))


async def status(ingest: Ingest, key: JobKey) -> str:
    return str((await records.job_row(ingest, str(key.job_id)))["status"])


async def has_status(ingest: Ingest, key: JobKey, wanted: str) -> bool:
    return await status(ingest, key) == wanted


async def is_watched(redis: Redis, key: JobKey, times: int = 1) -> bool:
    ((_, count),) = await redis.pubsub_numsub(channel_of(key.job_id))
    return int(count) == times


async def abandoned(services: Services, ingest: Ingest) -> JobKey:
    """A job whose only request hung up in that process."""
    key = await submitted(ingest)
    with services.waiters.waiting(key):
        pass
    return key


async def test_the_end_of_a_job(ingest: Ingest, redis: Redis) -> None:
    key = await submitted(ingest)
    async with process(ingest.settings) as services:
        waiting = asyncio.create_task(wait_until_over(services.watcher, key, timeout_s=LONG_S))
        await until(lambda: is_watched(redis, key))
        await records.start(ingest, str(key.job_id))
        await records.complete(ingest, str(key.job_id))
        assert (await waiting).status is JobStatus.COMPLETED
        assert (await wait_until_over(services.watcher, key, timeout_s=None)).status is JobStatus.COMPLETED
        await until(lambda: is_watched(redis, key, 0))


async def test_the_last_state_at_the_timeout(ingest: Ingest) -> None:
    key = await submitted(ingest)
    async with process(ingest.settings) as services:
        assert (await wait_until_over(services.watcher, key, timeout_s=0)).status is JobStatus.QUEUED
        await records.start(ingest, str(key.job_id))
        assert (await wait_until_over(services.watcher, key, timeout_s=0.01)).status is JobStatus.PROCESSING


async def test_the_last_state_when_the_process_stops(ingest: Ingest, redis: Redis) -> None:
    key, stopping = await submitted(ingest), asyncio.Event()
    async with process(ingest.settings, stopping) as services:
        waiting = asyncio.create_task(wait_until_over(services.watcher, key, timeout_s=None))
        await until(lambda: is_watched(redis, key))
        stopping.set()
        assert not (await waiting).is_over


async def test_a_job_that_is_not_there(ingest: Ingest) -> None:
    key = await submitted(ingest)
    async with process(ingest.settings) as services:
        for other in (JobKey("default", new_id()), JobKey("other", key.job_id)):
            with pytest.raises(RefusedError, match="not_found"):
                await wait_until_over(services.watcher, other, timeout_s=None)


async def test_a_hang_up_cancels_the_job_after_the_grace(ingest: Ingest, impatient: IngestSettings) -> None:
    async with process(impatient) as services:
        key = await abandoned(services, ingest)
        await until(lambda: has_status(ingest, key, "CANCELLED"))


async def test_a_request_within_the_grace_keeps_the_job(
    ingest: Ingest, impatient: IngestSettings, redis: Redis
) -> None:
    async with process(impatient) as services:
        key = await abandoned(services, ingest)
        with services.waiters.waiting(key):
            other = await abandoned(services, ingest)
            await until(lambda: has_status(ingest, other, "CANCELLED"))
            assert await is_watched(redis, key)
            assert await status(ingest, key) == "QUEUED"
        await until(lambda: has_status(ingest, key, "CANCELLED"))


async def test_the_last_of_several_requests_decides(ingest: Ingest, impatient: IngestSettings) -> None:
    async with process(impatient) as services:
        key = await submitted(ingest)
        with services.waiters.waiting(key):
            with services.waiters.waiting(key):
                pass
            other = await abandoned(services, ingest)
            await until(lambda: has_status(ingest, other, "CANCELLED"))
            assert await status(ingest, key) == "QUEUED"
        await until(lambda: has_status(ingest, key, "CANCELLED"))


async def test_a_request_in_another_process_keeps_the_job(ingest: Ingest, impatient: IngestSettings) -> None:
    async with process(impatient) as one, process(impatient) as two:
        key = await submitted(ingest)
        with two.waiters.waiting(key):
            with one.waiters.waiting(key):
                pass
            other = await abandoned(one, ingest)
            await until(lambda: has_status(ingest, other, "CANCELLED"))
            assert await status(ingest, key) == "QUEUED"
        await until(lambda: has_status(ingest, key, "CANCELLED"))


async def test_a_client_that_follows_the_job_keeps_it(ingest: Ingest, impatient: IngestSettings, redis: Redis) -> None:
    async with (
        process(impatient) as services,
        following(ingest, str((key := await submitted(ingest)).job_id)) as stream,
    ):
        await stream.next()
        await until(lambda: is_watched(redis, key))
        with services.waiters.waiting(key):
            pass
        other = await abandoned(services, ingest)
        await until(lambda: has_status(ingest, other, "CANCELLED"))
        assert await status(ingest, key) == "QUEUED"
        stream.answer.close()
        await until(lambda: has_status(ingest, key, "CANCELLED"))


@pytest.mark.parametrize("is_noted", [True, False])
async def test_a_job_that_ended_stays_as_it_is(ingest: Ingest, impatient: IngestSettings, *, is_noted: bool) -> None:
    async with process(impatient) as services:
        key = await submitted(ingest)
        with services.waiters.waiting(key) as waiting:
            await records.complete(ingest, str(key.job_id))
            if is_noted:
                waiting.end()
        assert bool(services.waiters._abandoned) is not is_noted
        other = await abandoned(services, ingest)
        await until(lambda: has_status(ingest, other, "CANCELLED"))
        assert await status(ingest, key) == "COMPLETED"
        assert not services.waiters._seen_alone


async def test_a_job_goes_on_when_its_process_stops(ingest: Ingest, impatient: IngestSettings) -> None:
    async with process(impatient) as one:
        key = await abandoned(one, ingest)
    async with process(impatient) as two:
        other = await abandoned(two, ingest)
        await until(lambda: has_status(ingest, other, "CANCELLED"))
    assert await status(ingest, key) == "QUEUED"


async def test_nothing_is_cancelled_while_redis_is_unavailable(ingest: Ingest, impatient: IngestSettings) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxied(impatient.redis_url.reveal()))
        settings = msgspec.structs.replace(impatient, redis_url=Secret(proxy.url))
        services = await stack.enter_async_context(process(settings))
        sound = await stack.enter_async_context(process(impatient))
        await proxy.close()
        key = await abandoned(services, ingest)
        other = await abandoned(sound, ingest)
        await until(lambda: has_status(ingest, other, "CANCELLED"))
        assert await status(ingest, key) == "QUEUED"
        await proxy.open()
        await until(lambda: has_status(ingest, key, "CANCELLED"))


async def test_nothing_is_cancelled_while_postgres_is_unavailable(
    ingest: Ingest, impatient: IngestSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxied(impatient.database_url.reveal()))
        settings = msgspec.structs.replace(impatient, database_url=Secret(proxy.url))
        services = await stack.enter_async_context(process(settings))
        await proxy.close()
        key = await abandoned(services, ingest)
        await until(logged(caplog, "abandoned_job_not_cancelled"))
        assert await status(ingest, key) == "QUEUED"
        await proxy.open()
        await until(lambda: has_status(ingest, key, "CANCELLED"))


def logged(caplog: pytest.LogCaptureFixture, event: str) -> Callable[[], object]:
    async def is_logged() -> bool:
        return event in caplog.text

    return is_logged
