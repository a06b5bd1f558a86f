"""`Prefer: wait=N`: the finished job if it ends in time, otherwise the usual answer."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from shared.connections.redis import open_redis
from shared.ids import new_id
from shared.job_hints import channel_of
from shared.schemas.failures import FailureCode
from shared.secret import Secret
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.proxy import proxied
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

LONG = {"Prefer": "wait=60"}
SHORT = {"Prefer": "wait=1"}
WAV_TYPE = {"Content-Type": "audio/wav"}

Answer = tuple[int, dict[str, Any], str | None]  # status, body, Preference-Applied
Send = Callable[[Ingest, dict[str, str]], Awaitable[Answer]]


async def sent(ingest: Ingest, method: str, path: str, **options: Any) -> Answer:
    async with ingest.client.request(method, ingest.url + path, **options) as answer:
        if answer.status in {201, 202}:
            assert answer.headers["Location"].startswith("/v1/jobs/")
        return answer.status, await answer.json(content_type=None), answer.headers.get("Preference-Applied")


async def send_form(ingest: Ingest, headers: dict[str, str]) -> Answer:
    form = aiohttp.FormData()
    form.add_field("audio_file", io.BytesIO(wav()), filename="a.wav")
    return await sent(ingest, "POST", "/v1/jobs", data=form, headers=headers)


async def send_old_form(ingest: Ingest, headers: dict[str, str]) -> Answer:
    form = aiohttp.FormData()
    form.add_field("audio_file", io.BytesIO(wav()), filename="a.wav")
    return await sent(ingest, "POST", "/api/upload-audio", data=form, headers=headers)


async def send_raw(ingest: Ingest, headers: dict[str, str]) -> Answer:
    return await sent(ingest, "POST", "/v1/jobs", data=wav(), headers=WAV_TYPE | headers)


async def send_url(ingest: Ingest, headers: dict[str, str]) -> Answer:
    return await sent(ingest, "POST", "/v1/jobs", json={"audio_url": "https://example.com/a.wav"}, headers=headers)


EVERY_UPLOAD = [send_form, send_old_form, send_raw, send_url]


@pytest_asyncio.fixture
async def redis(settings: IngestSettings) -> AsyncIterator[Redis]:
    async with open_redis(settings.redis_url.reveal()) as redis:
        yield redis


async def job_of(ingest: Ingest) -> str:
    """The id of the only job, as soon as it exists."""

    async def exists() -> bool:
        return await ingest.job_count() == 1

    await until(exists)
    (row,) = await ingest.sql("SELECT id FROM jobs")
    return str(row["id"])


async def waits(redis: Redis, job_id: str, times: int = 1) -> None:
    """Wait until so many processes watch the job."""

    async def is_watched() -> bool:
        ((_, count),) = await redis.pubsub_numsub(channel_of(UUID(job_id)))
        return int(count) == times

    await until(is_watched)


@asynccontextmanager
async def asking(request: Awaitable[Answer]) -> AsyncIterator["asyncio.Task[Answer]"]:
    task: asyncio.Task[Answer] = asyncio.ensure_future(request)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("send", EVERY_UPLOAD)
async def test_an_upload_is_answered_with_the_finished_job(ingest: Ingest, redis: Redis, send: Send) -> None:
    async with asking(send(ingest, LONG)) as request:
        job_id = await job_of(ingest)
        await waits(redis, job_id)
        await records.start(ingest, job_id)
        await records.complete(ingest, job_id)
        status, job, applied = await request
    assert (status, applied) == (201, "wait=60")
    assert job == (await ingest.get(f"/v1/jobs/{job_id}"))[1]
    assert job["status"] == "COMPLETED"


@pytest.mark.parametrize("send", EVERY_UPLOAD)
async def test_an_upload_is_answered_as_usual_when_the_job_takes_longer(ingest: Ingest, send: Send) -> None:
    status, body, applied = await send(ingest, SHORT)
    assert (status, body["status"], applied) == (202, "QUEUED", None)
    assert set(body) == {"job_id", "status", "links"}


async def test_a_failed_job_is_finished_too(ingest: Ingest, redis: Redis) -> None:
    async with asking(send_raw(ingest, LONG)) as request:
        job_id = await job_of(ingest)
        await waits(redis, job_id)
        await records.fail(ingest, job_id, FailureCode.TIMEOUT)
        status, job, _ = await request
    assert (status, job["status"], job["error"]["code"]) == (201, "FAILED", "timeout")


async def test_a_job_can_be_waited_for(ingest: Ingest, redis: Redis) -> None:
    job_id = await ingest.submit(wav())
    path = f"/v1/jobs/{job_id}"
    assert (await sent(ingest, "GET", path, headers=SHORT))[::2] == (200, None)
    async with asking(sent(ingest, "GET", path, headers={"Prefer": "respond-async, wait=999"})) as request:
        await waits(redis, job_id)
        await records.complete(ingest, job_id)
        status, job, applied = await request
    assert (status, job["status"], applied) == (200, "COMPLETED", "wait=60")
    assert await sent(ingest, "GET", path, headers=LONG) == (200, job, "wait=60")
    assert await sent(ingest, "GET", path) == (200, job, None)


async def test_without_the_preference_nothing_waits(ingest: Ingest) -> None:
    for headers in ({}, {"Prefer": "return=minimal"}, {"Prefer": "wait=0"}):
        assert (await send_raw(ingest, headers))[::2] == (202, None)


async def test_problems_are_answered_as_usual(ingest: Ingest) -> None:
    for path in ("/v1/jobs/nonsense", f"/v1/jobs/{new_id()}"):
        status, problem, applied = await sent(ingest, "GET", path, headers=LONG)
        assert (status, problem["code"], applied) == (404, "not_found", None)
    job_id = await ingest.submit(wav())
    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
    assert (await sent(ingest, "GET", f"/v1/jobs/{job_id}", headers=LONG))[1]["code"] == "job_erased"
    status, problem, _ = await sent(ingest, "POST", "/v1/jobs", data=b"", headers=WAV_TYPE | LONG)
    assert (status, problem["code"]) == (400, "empty_upload")


async def test_a_repeat_with_the_same_key_waits_for_the_same_job(ingest: Ingest, redis: Redis) -> None:
    keyed = {"Idempotency-Key": "once"}
    assert (await send_raw(ingest, keyed))[0] == 202
    job_id = await job_of(ingest)
    async with asking(send_raw(ingest, keyed | LONG)) as request:
        await waits(redis, job_id)
        await records.complete(ingest, job_id)
        status, job, _ = await request
    assert (status, job["job_id"]) == (201, job_id)
    assert await job_of(ingest) == job_id


async def test_a_stopping_process_answers_as_usual(ingest: Ingest, redis: Redis) -> None:
    async with asking(send_raw(ingest, LONG)) as request:
        await waits(redis, await job_of(ingest))
        ingest.stopping.set()
        assert (await request)[::2] == (202, None)


async def test_a_client_that_leaves_is_noticed_and_its_job_goes_on(ingest: Ingest, redis: Redis) -> None:
    async with asking(send_raw(ingest, LONG)) as request:
        job_id = await job_of(ingest)
        await waits(redis, job_id)
        request.cancel()
        await waits(redis, job_id, 0)
    assert (await ingest.get(f"/v1/jobs/{job_id}"))[1]["status"] == "QUEUED"


async def test_a_request_beyond_the_bound_of_streams_does_not_wait(settings: IngestSettings, redis: Redis) -> None:
    async with serving(settings, max_event_streams=1) as ingest, asking(send_raw(ingest, LONG)) as request:
        job_id = await job_of(ingest)
        await waits(redis, job_id)
        assert (await send_raw(ingest, LONG))[::2] == (202, None)
        assert (await sent(ingest, "GET", f"/v1/jobs/{job_id}", headers=LONG))[::2] == (200, None)
        assert not request.done()


async def test_a_waiting_upload_is_over(settings: IngestSettings, redis: Redis) -> None:
    """It holds no slot of its tenant, and is counted without its wait."""
    async with serving(settings, quota_uploads_at_once=1) as ingest:
        before = (await scrape(ingest)).get("uploads_accepted_total")
        async with asking(send_raw(ingest, LONG)) as request:
            job_id = await job_of(ingest)
            await waits(redis, job_id)
            metrics = await scrape(ingest)
            assert metrics.get("uploads_open") == 0
            assert metrics.get("uploads_accepted_total") == before + 1
            assert (await send_raw(ingest, {}))[0] == 202
            await records.complete(ingest, job_id)
            assert (await request)[0] == 201
        assert (await scrape(ingest)).get("uploads_accepted_total") == before + 2


async def test_a_key_that_may_not_read_does_not_wait(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme", Scope.SUBMIT)).key
    async with guarded(settings) as ingest:
        status, body, applied = await send_raw(ingest, LONG | bearer(key))
        assert (status, body["status"], applied) == (202, "QUEUED", None)


async def test_a_revoked_key_waits_no_longer(settings: IngestSettings, redis: Redis) -> None:
    made, admin = await new_key(settings, "acme", Scope.SUBMIT, Scope.READ), await new_key(settings, "acme")
    async with guarded(settings) as ingest, asking(send_raw(ingest, LONG | bearer(made.key))) as upload:
        job_id = await job_of(ingest)
        await waits(redis, job_id)
        read = sent(ingest, "GET", f"/v1/jobs/{job_id}", headers=LONG | bearer(made.key))
        async with asking(read) as reading:
            path = f"{ingest.url}/v1/keys/{made.key_id}"
            async with ingest.client.delete(path, headers=bearer(admin.key)) as answer:
                assert answer.status == 204
            assert (await reading)[0] == 401
            assert (await upload)[0] == 202


async def test_an_outage_after_the_commit_is_not_the_uploads_error(settings: IngestSettings, redis: Redis) -> None:
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        serving(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        observer = Ingest(settings, ingest.url, ingest.client)
        async with asking(send_raw(ingest, SHORT)) as request:
            await waits(redis, await job_of(observer))
            await postgres.close()
            assert (await request)[::2] == (202, None)
        status, problem, _ = await sent(ingest, "GET", f"/v1/jobs/{new_id()}", headers=SHORT)
        assert (status, problem["code"]) == (503, "database_unavailable")
