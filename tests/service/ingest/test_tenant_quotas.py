"""Quotas: checked before the body, enforced in the commit; nothing is lost or left behind."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from ingest_service.database import Database
from ingest_service.errors import LimitError
from ingest_service.quotas.concurrent_uploads import KEY
from ingest_service.quotas.quota_usage import Quotas
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.settings import IngestSettings
from ingest_service.uploads.commit import JobRecorder
from tests.service.ingest.test_idempotency import form
from tests.service.ingest.test_idempotency import submit as submit_once
from tests.service.ingest.test_processes import CLIENTS, WAV_TYPE, several
from tests.service.ingest.test_record_jobs import row
from tests.service.ingest.test_submit_url import post as post_url
from tests.support.ingest.raw_http import connected, head
from tests.support.ingest.records import fail, start
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus

SOUND = wav()
USED = """
    INSERT INTO tenant_usage (tenant, day, shard, bytes, audio_s)
    VALUES ('default', usage_day() - $1::int, 99, $2, $3)
"""


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.quotas.quota_usage.CACHED_S", 0.0)
    monkeypatch.setattr("ingest_service.quotas.quota_usage.CACHED_WITHOUT_QUOTAS_S", 0.0)


async def upload(ingest: Ingest, sound: bytes = SOUND) -> tuple[int, dict[str, Any]]:
    return await ingest.post(io.BytesIO(sound), headers=WAV_TYPE)


def named(problem: dict[str, Any]) -> str:
    """The quota in a problem."""
    assert problem["code"] == "quota_exceeded"
    return str(problem["detail"]).split("`")[1]


async def test_bytes_a_day_is_exact_and_a_refused_upload_leaves_nothing(
    settings: IngestSettings,
) -> None:
    async with serving(settings, quota_bytes_a_day=3 * len(SOUND)) as ingest:
        before = (await scrape(ingest)).get("uploads_refused_total", code="quota_exceeded")
        assert [(await upload(ingest))[0] for _ in range(2)] == [202, 202]
        status, problem = await upload(ingest, SOUND + b"\0")
        assert (status, named(problem)) == (429, "bytes_a_day")
        assert (await upload(ingest))[0] == 202
        async with ingest.client.post(ingest.url + "/v1/jobs", data=form(SOUND)) as answer:
            assert answer.status == 429
            assert 0 < int(answer.headers["Retry-After"]) <= 86_400
        assert (len(ingest.stored_files()), await ingest.job_count()) == (3, 3)
        assert (await scrape(ingest)).get("uploads_refused_total", code="quota_exceeded") == before + 2


async def test_a_declared_length_over_the_quota_is_refused_before_the_body(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=1000) as ingest, connected(ingest) as (reader, writer):
        writer.write(head("Content-Type: audio/wav", "Content-Length: 1001"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 429 ")


async def test_a_body_without_a_length_is_refused_when_it_is_complete(settings: IngestSettings) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield SOUND

    async with serving(settings, quota_bytes_a_day=1000) as ingest:
        status, problem = await ingest.post(pieces(), headers=WAV_TYPE)
        assert (status, named(problem)) == (429, "bytes_a_day")
        await ingest.assert_nothing_is_left()


async def test_usage_counts_today_and_seconds_of_audio(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=10 * len(SOUND), quota_audio_seconds_a_day=60) as ingest:
        await ingest.sql(USED, 1, 1 << 40, 1e6)
        await ingest.sql(USED, 0, 0, 59.0)
        assert (await upload(ingest))[0] == 202
        await ingest.sql("UPDATE tenant_usage SET audio_s = 60 WHERE shard = 99 AND day = usage_day()")
        status, problem = await upload(ingest)
        assert (status, named(problem)) == (429, "audio_seconds_a_day")


async def test_a_started_job_frees_the_queue_quota(settings: IngestSettings) -> None:
    async with serving(settings, quota_jobs_queued=2) as ingest:
        job_id = await ingest.submit(SOUND)
        assert (await post_url(ingest, {"audio_url": "https://example.com/a.mp3"}))[0] == 202
        for outcome in (await upload(ingest), await post_url(ingest, {"audio_url": "https://example.com/a.mp3"})):
            assert (outcome[0], named(outcome[1])) == (429, "jobs_queued")
        await start(ingest, job_id)
        assert (await upload(ingest))[0] == 202


async def test_concurrent_uploads_are_counted_while_they_run(settings: IngestSettings) -> None:
    released = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield SOUND[:20_000]
        await released.wait()
        yield SOUND[20_000:]

    async with (
        serving(settings, quota_uploads_at_once=1) as ingest,
        Redis.from_url(settings.redis_url.reveal()) as redis,
    ):
        slow_one = asyncio.create_task(ingest.post(slow(), headers=WAV_TYPE))

        async def is_taken() -> bool:
            return bool(await redis.zcard(KEY.format(tenant="default")))

        await until(is_taken)
        status, problem = await upload(ingest)
        assert (status, named(problem)) == (429, "uploads_at_once")
        assert (await ingest.get("/v1/jobs"))[0] == 200
        released.set()
        assert (await slow_one)[0] == 202
        assert [(await upload(ingest))[0] for _ in range(2)] == [202, 202]


async def test_a_repeated_answer_uses_no_quota(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=len(SOUND)) as ingest:
        first = await submit_once(ingest, SOUND)
        assert first[0] == 202
        assert await submit_once(ingest, SOUND) == first
        assert (await submit_once(ingest, SOUND, key="another"))[0] == 429
        await ingest.sql("DELETE FROM tenant_usage")
        assert (await submit_once(ingest, SOUND, key="another"))[0] == 202  # the slot was released


async def test_a_tenants_own_quotas_override_the_settings(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=10) as ingest:
        assert (await upload(ingest))[0] == 429
        await ingest.sql("INSERT INTO tenant_quotas (tenant, bytes_a_day, jobs_queued) VALUES ('default', 0, 1)")
        assert (await upload(ingest))[0] == 202
        assert named((await upload(ingest))[1]) == "jobs_queued"
        await ingest.sql("UPDATE tenant_quotas SET bytes_a_day = NULL, jobs_queued = NULL")
        assert named((await upload(ingest))[1]) == "bytes_a_day"


async def test_a_resumable_upload_is_checked_at_its_start_and_at_its_end(
    settings: IngestSettings,
) -> None:
    async with serving(settings, quota_bytes_a_day=len(SOUND)) as ingest:
        tus = Tus.to(ingest)
        assert (await tus.create(len(SOUND) + 1)).code == "quota_exceeded"
        path = await tus.created(len(SOUND))
        assert (await tus.patch(path, 0, SOUND[:1000])).status == 204
        await ingest.sql(USED, 0, 1, 0.0)  # other uploads used the quota meanwhile
        answer = await tus.patch(path, 1000, SOUND[1000:])
        assert (answer.status, answer.code) == (429, "quota_exceeded")
        assert (await tus.head(path)).status == 429
        assert await ingest.job_count() == 0
        await ingest.sql("DELETE FROM tenant_usage")  # as at midnight
        answer = await tus.head(path)
        assert (answer.status, answer.offset) == (200, len(SOUND))
        assert answer.headers["Headrace-Job-Id"]
        assert await ingest.job_count() == 1


async def test_in_one_commit_only_jobs_over_the_quota_are_refused(ingest: Ingest) -> None:
    async with Database.opened(ingest.settings.database_url.reveal()) as database:
        recorder = JobRecorder(database, QuotaGate(database, Quotas(jobs_queued=3)))
        rows = [row(tenant=tenant) for tenant in ("a", "b") for _ in range(5)] + [row(tenant="c")]
        outcomes = await asyncio.gather(*(recorder.record(each) for each in rows), return_exceptions=True)
        taken = [each.tenant for each, outcome in zip(rows, outcomes, strict=True) if outcome is None]
        assert taken == ["a"] * 3 + ["b"] * 3 + ["c"]
        assert {type(outcome) for outcome in outcomes} == {type(None), LimitError}
        assert await ingest.job_count() == 7


@pytest.mark.parametrize("quota", [{"quota_bytes_a_day": 10 * len(SOUND)}, {"quota_jobs_queued": 10}])
async def test_two_processes_enforce_one_quota_exactly(settings: IngestSettings, quota: dict[str, int]) -> None:
    changes = {f"HEADRACE_{name.upper()}": str(value) for name, value in quota.items()}
    async with several(settings, **changes) as ingest, serving(settings) as observer:
        for _ in range(2):  # first with empty caches, then with known usage
            statuses = await asyncio.gather(*(_status(ingest.url) for _ in range(CLIENTS)))
            assert await observer.job_count() == 10
        assert set(statuses) == {429}


async def _status(url: str) -> int:
    """On a new connection, which either process may accept."""
    async with (
        aiohttp.ClientSession() as client,
        client.post(url + "/v1/jobs", data=SOUND, headers=WAV_TYPE) as answer,
    ):
        return answer.status


async def test_an_unavailable_database_does_not_refuse_uploads_early() -> None:
    unreachable = "postgresql://x@127.0.0.1:1/nothing"
    async with Database.opened(unreachable) as database:
        gate = QuotaGate(database, Quotas(bytes_a_day=1))
        await gate.precheck("default", 1 << 40)
        assert gate.usage_cache.may_have_quotas("default")  # the commit decides


async def test_jobs_that_are_queued_again_count_against_the_queue(settings: IngestSettings) -> None:
    async with serving(settings, quota_jobs_queued=2) as ingest:
        dead = [await ingest.submit(SOUND) for _ in range(2)]
        for job_id in dead:
            await fail(ingest, job_id)
        await ingest.submit(SOUND)
        assert (await ingest.post(None, path=f"/v1/dead-letters/{dead[0]}/redrive"))[0] == 202
        status, problem = await ingest.post(None, path=f"/v1/dead-letters/{dead[1]}/redrive")
        assert (status, named(problem)) == (429, "jobs_queued")
        assert (await ingest.post(None, path="/v1/dead-letters/redrive"))[1] == {"redriven": 0}
        assert (await ingest.get(f"/v1/jobs/{dead[1]}"))[1]["status"] == "FAILED"
