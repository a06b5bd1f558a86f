"""Presigned downloads: audio directly from the bucket, if the setting allows it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav
from tests.support.storage.bucket import SECRET_KEY
from tests.support.storage.stores import Store

SOUND = wav()


@pytest.fixture
def settings(database_url: str, redis_url: str, store: Store) -> IngestSettings:
    return IngestSettings(
        database_url=Secret(database_url), redis_url=Secret(redis_url), storage_url=store.url, auth="none"
    )


@pytest_asyncio.fixture
async def ingest(settings: IngestSettings) -> AsyncIterator[Ingest]:
    async with serving(settings, presigned_downloads=True) as running:
        yield running


@pytest.mark.parametrize("store", ["s3"], indirect=True)
async def test_a_client_is_redirected_to_the_bucket_with_its_range(ingest: Ingest) -> None:
    job_id = await ingest.submit(SOUND)
    url = f"{ingest.url}/v1/jobs/{job_id}/audio"

    async with ingest.client.get(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (307, "no-store")
        location = answer.headers["Location"]
    assert "X-Amz-Expires=300" in location
    assert SECRET_KEY not in location
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(location, headers={"Range": "bytes=40-99"}) as answer:
            assert (answer.status, await answer.read()) == (206, SOUND[40:100])
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Content-Disposition"] == "attachment"
        async with stranger.get(location.replace("source", "g1/transcript.json")) as answer:
            assert answer.status == 403
        async with stranger.put(location, data=b"something else") as answer:
            assert answer.status == 403


@pytest.mark.parametrize("store", ["local"], indirect=True)
async def test_a_local_store_has_no_presigned_downloads(ingest: Ingest) -> None:
    job_id = await ingest.submit(SOUND)

    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/audio", allow_redirects=False) as answer:
        assert (answer.status, await answer.read()) == (200, SOUND)


@pytest.mark.parametrize("store", ["s3"], indirect=True)
async def test_missing_audio_is_reported_before_the_redirect(ingest: Ingest) -> None:
    job_id = await ingest.submit(SOUND)

    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/audio?variant=denoised") as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (409, "not_ready")
