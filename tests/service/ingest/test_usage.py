"""Usage is counted once for each upload method and reported by day."""

import asyncio
import datetime as dt
from typing import Any

import pytest

from ingest_service.settings import IngestSettings
from tests.service.ingest.test_idempotency import form
from tests.service.ingest.test_idempotency import submit as submit_once
from tests.service.ingest.test_processes import CLIENTS, several
from tests.service.ingest.test_processes import upload as upload_anywhere
from tests.service.ingest.test_submit_url import submit as submit_url
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus

USED = "INSERT INTO tenant_usage (tenant, day, shard, uploads, bytes, audio_s) VALUES ($1, $2, $3, $4, $5, $6)"
TODAY = "SELECT usage_day()"


async def usage(ingest: Ingest, **query: str) -> list[dict[str, Any]]:
    status, found = await ingest.get("/v1/usage", params=query)
    assert status == 200, found
    days: list[dict[str, Any]] = found["days"]
    return days


async def today(ingest: Ingest) -> tuple[int, int]:
    """Uploads and bytes."""
    (day,) = await usage(ingest)
    return day["uploads"], day["bytes"]


async def test_each_upload_method_is_counted_once(ingest: Ingest) -> None:
    assert await usage(ingest) == []
    sound = wav()
    await ingest.submit(sound)
    assert await today(ingest) == (1, len(sound))
    assert (await ingest.post(form(sound)))[0] == 202
    assert await today(ingest) == (2, 2 * len(sound))
    for _ in range(2):  # the repeat creates nothing
        assert (await submit_once(ingest, sound))[0] == 202
    assert await today(ingest) == (3, 3 * len(sound))
    await submit_url(ingest)
    assert await today(ingest) == (4, 3 * len(sound))  # the bytes of a URL count when they are fetched
    tus = Tus.to(ingest)
    path = await tus.created(len(sound))
    assert (await tus.patch(path, 0, sound[:1000])).status == 204
    assert await today(ingest) == (4, 3 * len(sound))  # not before it is a job
    assert (await tus.patch(path, 1000, sound[1000:])).status == 204
    assert (await tus.head(path)).status == 200
    assert await today(ingest) == (5, 4 * len(sound))


async def test_refusals_and_erasures_do_not_change_usage(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    before = await today(ingest)
    assert (await ingest.post(b"no audio", headers={"Content-Type": "audio/wav"}))[0] == 415
    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
    assert await today(ingest) == before


async def test_concurrent_uploads_are_all_counted(settings: IngestSettings) -> None:
    async with several(settings) as ingest, serving(settings) as observer:
        await asyncio.gather(*(upload_anywhere(observer.client, ingest.url) for _ in range(CLIENTS)))
        assert await today(observer) == (CLIENTS, CLIENTS * len(wav()))


async def test_usage_is_by_utc_day_in_the_requested_span(ingest: Ingest) -> None:
    (row,) = await ingest.sql(TODAY)
    now: dt.date = row[0]
    assert now == dt.datetime.now(dt.UTC).date()
    for days_ago, shard, uploads in [(0, 1, 5), (0, 2, 2), (1, 1, 3), (400, 1, 1)]:
        day = now - dt.timedelta(days=days_ago)
        await ingest.sql(USED, "default", day, shard, uploads, 10 * uploads, 1.5 * uploads)
    await ingest.sql(USED, "other", now, 1, 1000, 1000, 1000.0)
    yesterday = str(now - dt.timedelta(days=1))
    assert await usage(ingest) == [
        {"day": yesterday, "uploads": 3, "bytes": 30, "audio_seconds": 4.5},
        {"day": str(now), "uploads": 7, "bytes": 70, "audio_seconds": 10.5},
    ]
    assert [one["uploads"] for one in await usage(ingest, to=yesterday)] == [3]
    assert [one["uploads"] for one in await usage(ingest, **{"from": str(now)})] == [7]
    long_ago = str(now - dt.timedelta(days=400))
    assert [one["uploads"] for one in await usage(ingest, **{"from": long_ago}, to=long_ago)] == [1]


@pytest.mark.parametrize("query", [{"from": "yesterday"}, {"to": "0"}])
async def test_invalid_days_are_refused(ingest: Ingest, query: dict[str, str]) -> None:
    status, problem = await ingest.get("/v1/usage", params=query)
    assert (status, problem["code"]) == (400, "invalid_parameter")


async def test_the_quotas_in_force_are_returned(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=1000, quota_jobs_queued=7) as ingest:
        await ingest.sql("INSERT INTO tenant_quotas (tenant, bytes_a_day, uploads_at_once) VALUES ('default', 0, 3)")
        _, found = await ingest.get("/v1/usage")
        assert found["quotas"] == {
            "bytes_a_day": None,
            "audio_seconds_a_day": None,
            "jobs_queued": 7,
            "uploads_at_once": 3,
        }
