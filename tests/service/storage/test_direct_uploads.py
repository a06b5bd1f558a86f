"""Presigned uploads: the client PUTs audio into the bucket and submits it as a job."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import pytest
import pytest_asyncio

from ingest_service.settings import IngestSettings
from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.scan_store import StoreScan
from processor_service.maintenance.storage import DIRECT_AGE_S, DirectCollector, OrphanCollector
from shared import failpoints
from shared.blobs import blob_keys
from shared.secret import Secret
from tests.service.processor.conftest import database
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.records import job_row
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav
from tests.support.storage.bucket import SECRET_KEY
from tests.support.storage.stores import Store

__all__ = ["database"]  # a fixture

SOUND = wav()
PRESIGNED = "/v1/uploads/presigned"
OTHER_ID = "01a22100-8814-70e6-9a02-0c8a2c7661df"
MAX_BYTES = 40_000

Answer = tuple[int, dict[str, Any]]


@pytest.fixture
def settings(service_database_url: str, redis_url: str, s3: Store) -> IngestSettings:
    return IngestSettings(
        database_url=Secret(service_database_url),
        redis_url=Secret(redis_url),
        storage_url=s3.url,
        auth="none",
        max_upload_bytes=MAX_BYTES,
    )


@pytest_asyncio.fixture
async def ingest(settings: IngestSettings) -> AsyncIterator[Ingest]:
    async with serving(settings) as running:
        yield running


@pytest.fixture
def failures(tmp_path: Path) -> Iterator[Path]:
    failpoints.arm(str(tmp_path))
    yield tmp_path
    failpoints.arm("")


async def presigned(ingest: Ingest, **options: Any) -> dict[str, Any]:
    status, upload = await ingest.post(None, PRESIGNED, **options)
    assert status == 201, upload
    return upload


async def put(upload: dict[str, Any], data: bytes, headers: dict[str, str] | None = None) -> int:
    """As any client: only the given URL and headers, without a type by default."""
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as stranger,
        stranger.request(
            upload["method"], upload["url"], data=data or None, headers={**upload["headers"], **(headers or {})}
        ) as answer,
    ):
        return answer.status


async def submit(
    ingest: Ingest, upload: dict[str, Any], *, headers: dict[str, str] | None = None, **options: Any
) -> Answer:
    body = msgspec.json.encode({"upload_id": upload["upload_id"], **options})
    return await ingest.post(body, headers={"Content-Type": "application/json", **(headers or {})})


async def uploaded(ingest: Ingest, data: bytes = SOUND) -> dict[str, Any]:
    upload = await presigned(ingest)
    assert await put(upload, data) == 200
    return upload


async def blobs(s3: Store) -> list[str]:
    return await s3.contents()


# --- success ---------------------------------------------------------------------------------------------------------


async def test_a_presigned_upload_becomes_a_job(ingest: Ingest, s3: Store) -> None:
    upload = await uploaded(ingest)
    status, accepted = await submit(ingest, upload, language="de", metadata={"call": 1})

    assert (status, accepted["status"]) == (202, "QUEUED")
    job_id = accepted["job_id"]
    row = await job_row(ingest, job_id)
    assert (row["options"], row["metadata"]) == ('{"language":"de"}', '{"call":1}')
    (task,) = await ingest.sql("SELECT job_id, kind, state, dispatch_no FROM tasks")
    assert tuple(task) == (UUID(job_id), "prepare", "dispatched", 1)
    _, job = await ingest.get(accepted["links"]["self"])
    assert (job["audio"]["bytes"], job["audio"]["format"], job["audio"]["sha256"]) == (len(SOUND), "wav", None)
    assert await blobs(s3) == [blob_keys.source(UUID(job_id))]
    async with ingest.client.get(ingest.url + accepted["links"]["audio"]) as answer:
        assert (answer.status, await answer.read()) == (200, SOUND)


async def test_the_url_is_valid_for_one_hour_and_one_request_and_contains_no_secret(ingest: Ingest) -> None:
    async with ingest.client.post(ingest.url + PRESIGNED) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
        upload = await answer.json()

    assert (upload["method"], upload["headers"]) == ("PUT", {})
    left = dt.datetime.fromisoformat(upload["expires_at"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(minutes=50) < left <= dt.timedelta(hours=1)
    assert "X-Amz-Expires=3600" in upload["url"]
    assert SECRET_KEY not in upload["url"]
    elsewhere = {**upload, "url": upload["url"].replace(upload["upload_id"], OTHER_ID)}
    assert await put(elsewhere, SOUND) == 403
    assert await put({**upload, "method": "DELETE"}, b"") == 403


@pytest.mark.parametrize("media_type", ["audio/mpeg", "video/mp4; codecs=avc1", "application/x-www-form-urlencoded"])
async def test_harmless_types_are_accepted(ingest: Ingest, media_type: str) -> None:
    upload = await presigned(ingest)
    assert await put(upload, SOUND, {"Content-Type": media_type}) == 200
    assert (await submit(ingest, upload))[0] == 202


async def test_azure_needs_its_header(settings: IngestSettings, azure: Store) -> None:
    async with serving(settings, storage_url=azure.url) as ingest:
        upload = await presigned(ingest)
        assert upload["headers"] == {"x-ms-blob-type": "BlockBlob"}
        assert await put(upload, SOUND) == 201
        status, accepted = await submit(ingest, upload)
        assert (status, await azure.contents()) == (202, [blob_keys.source(UUID(accepted["job_id"]))])
        assert await ingest.blobs.get(blob_keys.source(UUID(accepted["job_id"]))) == SOUND


# --- once ------------------------------------------------------------------------------------------------------------


async def test_concurrent_submissions_create_one_job(ingest: Ingest, s3: Store) -> None:
    upload = await uploaded(ingest)
    answers = await asyncio.gather(*(submit(ingest, upload) for _ in range(4)))

    assert sorted(status for status, _ in answers) == [202, 409, 409, 409]
    assert {body["code"] for status, body in answers if status == 409} == {"upload_claimed"}
    (job_id,) = [body["job_id"] for status, body in answers if status == 202]
    assert await blobs(s3) == [blob_keys.source(UUID(job_id))]
    status, problem = await submit(ingest, upload)
    assert (status, problem["code"], job_id in problem["detail"]) == (409, "upload_claimed", True)


async def test_a_repeat_with_a_key_gets_the_same_answer(ingest: Ingest) -> None:
    upload, key = await uploaded(ingest), {"Idempotency-Key": "one"}
    first = await submit(ingest, upload, headers=key)

    assert first[0] == 202
    assert await submit(ingest, upload, headers=key) == first
    status, problem = await submit(ingest, upload, headers=key, language="en")
    assert (status, problem["code"]) == (422, "idempotency_mismatch")
    assert await ingest.job_count() == 1


async def test_a_later_put_changes_no_job(ingest: Ingest) -> None:
    upload = await uploaded(ingest)
    _, accepted = await submit(ingest, upload)

    assert await put(upload, b"something else") == 200
    assert await ingest.blobs.get(blob_keys.source(UUID(accepted["job_id"]))) == SOUND
    assert (await submit(ingest, upload))[1]["code"] == "upload_claimed"


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "headers", "refusal"),
    [
        (b"", {}, (400, "empty_upload")),
        (wav(MAX_BYTES), {}, (413, "too_large")),
        (b"<html>not audio at all</html>" * 99, {}, (415, "unsupported_media")),
        (SOUND, {"Content-Type": "text/html; charset=utf-8"}, (415, "unsupported_content_type")),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_an_invalid_upload_is_deleted_and_may_be_replaced(
    ingest: Ingest, s3: Store, data: bytes, headers: dict[str, str], refusal: tuple[int, str]
) -> None:
    upload = await presigned(ingest)
    assert await put(upload, data, headers) == 200
    status, problem = await submit(ingest, upload)
    assert (status, problem["code"]) == refusal
    assert await ingest.job_count() == 0
    assert await blobs(s3) == []

    assert await put(upload, SOUND) == 200
    assert (await submit(ingest, upload))[0] == 202


async def test_an_upload_without_bytes_has_its_own_error(ingest: Ingest) -> None:
    upload = await presigned(ingest)
    status, problem = await submit(ingest, upload)
    assert (status, problem["code"]) == (409, "upload_not_there")

    await put(upload, SOUND)
    assert (await submit(ingest, upload))[0] == 202


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"upload_id": OTHER_ID}, 404, "not_found"),
        ({"upload_id": "../jobs"}, 404, "not_found"),
        ({"upload_id": 4}, 400, "invalid_option"),
        ({"upload_id": None}, 400, "invalid_option"),
        ({"upload_id": OTHER_ID, "audio_url": "https://example.com/a.mp3"}, 400, "invalid_option"),
        ({"upload_id": OTHER_ID, "colour": "red"}, 400, "invalid_option"),
    ],
    ids=str,
)
async def test_invalid_submissions_are_refused(ingest: Ingest, body: dict[str, Any], status: int, code: str) -> None:
    got, problem = await ingest.post(msgspec.json.encode(body), headers={"Content-Type": "application/json"})
    assert (got, problem["code"]) == (status, code)


@pytest.mark.parametrize("role", ["database_url", "service_database_url"])
async def test_an_upload_of_another_tenant_gets_a_404(
    settings: IngestSettings, role: str, request: pytest.FixtureRequest
) -> None:
    """A superuser bypasses row-level security: the queries alone must separate tenants."""
    own, other = [bearer((await new_key(settings, name)).key) for name in ("acme", "globex")]
    async with guarded(settings, database_url=Secret(request.getfixturevalue(role))) as ingest:
        upload = await presigned(ingest, headers=own)
        assert await put(upload, SOUND) == 200
        status, problem = await submit(ingest, upload, headers=other)
        assert (status, problem["code"]) == (404, "not_found")
        assert (await submit(ingest, upload, headers=own))[0] == 202


async def test_an_upload_older_than_a_day_is_gone(ingest: Ingest) -> None:
    upload = await uploaded(ingest)
    await ingest.sql("UPDATE direct_uploads SET created_at = now() - interval '25 hours'")
    status, problem = await submit(ingest, upload)
    assert (status, problem["code"]) == (410, "upload_gone")


async def test_a_presigned_upload_counts_against_the_quota(settings: IngestSettings, s3: Store) -> None:
    async with serving(settings, quota_bytes_a_day=len(SOUND)) as ingest:
        first, second = await uploaded(ingest), await uploaded(ingest)
        assert (await submit(ingest, first))[0] == 202
        status, problem = await submit(ingest, second)
        assert (status, problem["code"]) == (429, "quota_exceeded")
        assert len(await blobs(s3)) == 2, "the job's, and that of which tomorrow may be made one"
        assert (await ingest.get("/v1/usage"))[1]["days"][0]["bytes"] == len(SOUND)


async def test_presigned_urls_without_jobs_are_bounded(settings: IngestSettings) -> None:
    async with serving(settings, quota_bytes_a_day=300, max_open_uploads=105) as ingest:
        statuses = [(await ingest.post(None, PRESIGNED))[0] for _ in range(101)]
        assert statuses == [201] * 100 + [429]
        await ingest.sql("INSERT INTO tenant_quotas (tenant, bytes_a_day) VALUES ('default', 0)")
        statuses = [(await ingest.post(None, PRESIGNED))[0] for _ in range(6)]
        assert statuses == [201] * 5 + [429]


async def test_the_setting_disables_presigned_uploads(settings: IngestSettings) -> None:
    async with serving(settings, presigned_uploads=False) as ingest:
        status, problem = await ingest.post(None, PRESIGNED)
    assert (status, problem["code"]) == (404, "no_direct_uploads")


async def test_a_local_store_has_no_presigned_uploads(settings: IngestSettings, storage_url: str) -> None:
    async with serving(settings, storage_url=storage_url) as ingest:
        status, problem = await ingest.post(None, PRESIGNED)
    assert (status, problem["code"]) == (404, "no_direct_uploads")
    assert "/v1/uploads" in problem["detail"]


# --- failures and maintenance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["direct.after_copy", "submit.before_commit"])
async def test_a_failure_before_the_commit_leaves_the_upload_unchanged(
    ingest: Ingest, s3: Store, failures: Path, point: str
) -> None:
    upload = await uploaded(ingest)
    (failures / point).write_text("fail")
    assert (await submit(ingest, upload))[0] in {500, 503}
    assert await blobs(s3) == [blob_keys.direct(UUID(upload["upload_id"]))]

    assert (await submit(ingest, upload))[0] == 202


async def test_a_failure_after_the_commit_leaves_a_whole_job(ingest: Ingest, failures: Path) -> None:
    upload = await uploaded(ingest)
    (failures / "submit.after_commit").write_text("fail")
    assert (await submit(ingest, upload))[0] == 503

    assert (await submit(ingest, upload))[1]["code"] == "upload_claimed"
    (job,) = await ingest.sql("SELECT id FROM jobs")
    assert await ingest.blobs.get(blob_keys.source(job["id"])) == SOUND


async def test_an_unsubmitted_upload_is_deleted(ingest: Ingest, s3: Store, database: asyncpg.Pool) -> None:
    _, accepted = await submit(ingest, await uploaded(ingest))
    await uploaded(ingest)
    await run_locked(
        database,
        "direct_uploads",
        DirectCollector(s3.blobs, StoreScan(s3.blobs, blob_keys.ALL_DIRECT, older_than_s=DIRECT_AGE_S)),
    )
    await run_locked(
        database,
        "orphans",
        OrphanCollector(database, s3.blobs, StoreScan(s3.blobs, blob_keys.ALL_JOBS, older_than_s=-60)),
    )
    assert len(await blobs(s3)) == 2, "it is too young"

    await run_locked(
        database,
        "direct_uploads",
        DirectCollector(s3.blobs, StoreScan(s3.blobs, blob_keys.ALL_DIRECT, older_than_s=-60), older_than_s=-60),
    )
    assert await blobs(s3) == [blob_keys.source(UUID(accepted["job_id"]))]
    assert await ingest.sql("SELECT * FROM direct_uploads") == []
