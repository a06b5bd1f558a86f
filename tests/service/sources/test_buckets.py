"""`s3://` sources from a real S3 server: the allowed folders, the bounds and the errors of every source."""

from typing import Any
from uuid import UUID

import asyncpg
import obstore
import pytest

from processor_service.errors import TaskError
from processor_service.sources import bucket_object
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.blobs.bucket import open_bucket
from shared.schemas.failures import FailureCode
from tests.service.processor.conftest import Claim
from tests.service.sources.conftest import FetcherWith, SubmitUrl
from tests.support.ingest.sounds import wav
from tests.support.storage.bucket import Bucket
from tests.support.storage.fixtures import bucket, s3, seaweedfs
from tests.support.storage.stores import Store

__all__ = ["bucket", "s3", "seaweedfs"]  # fixtures

pytestmark = pytest.mark.shares("seaweedfs")

AUDIO = wav() + bytes(range(256)) * 40


class Sources:
    """Puts objects beside each other, and fetches them for jobs of a tenant."""

    def __init__(
        self, bucket: Bucket, submit: SubmitUrl, claim: Claim, fetcher_with: FetcherWith, database: asyncpg.Pool
    ) -> None:
        self.bucket = bucket
        self._submit, self._claim, self._fetcher_with, self._database = submit, claim, fetcher_with, database

    async def put(self, key: str, data: bytes = AUDIO) -> str:
        store = open_bucket(f"s3://{self.bucket.name}", timeout_s=10, retry_s=0)
        await obstore.put_async(store, f"{self.bucket.prefix}/{key}", data)
        return f"{self.bucket.url}/{key}"

    async def fetch(self, url: str, *, tenant: str = "acme", **values: Any) -> UUID:
        task_id = await self._submit(url)
        await self._database.execute("UPDATE jobs SET tenant = $1 WHERE source_url = $2", tenant, url)
        folders = (f"{self.bucket.name}/{self.bucket.prefix}/{{tenant}}",)
        fetcher = await self._fetcher_with(**{"source_buckets": folders, "storage_retry_s": 0.5, **values})
        task = await self._claim(task_id)
        await fetcher.fetch(task)
        return task.job_id


@pytest.fixture
def sources(  # noqa: PLR0913, PLR0917 - fixtures
    s3: Store,
    bucket: Bucket,
    submit_url: SubmitUrl,
    claim_task: Claim,
    fetcher_with: FetcherWith,
    database: asyncpg.Pool,
) -> Sources:
    assert s3.url == bucket.url  # it sets the environment of the library
    return Sources(bucket, submit_url, claim_task, fetcher_with, database)


@pytest.mark.parametrize("key", ["acme/talk.wav", "acme/2026/größe 1 (a)+b.wav", "acme/a%20b.wav", "acme/..talk..wav"])
async def test_an_object_of_the_tenant_is_stored(
    sources: Sources, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """In several pieces. The key is taken as it is written."""
    monkeypatch.setattr(bucket_object, "PIECE_BYTES", 4000)
    job_id = await sources.fetch(await sources.put(key))
    assert await blobs.get(blob_keys.source(job_id)) == AUDIO


async def refused(sources: Sources, blobs: BlobStore, url: str, **values: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await sources.fetch(url, **values)
    assert [blob async for page in blobs.walk("jobs/") for blob in page] == []
    assert sources.bucket.prefix not in caught.value.message
    return caught.value


async def test_objects_of_others_are_blocked_by_the_processor_too(sources: Sources, blobs: BlobStore) -> None:
    """The settings may have changed since the submission, and the ingest may be of another version."""
    await sources.put("acme/talk.wav")
    other = await sources.put("globex/talk.wav")
    base = sources.bucket.url
    tricks = ("acme/../globex", "acme/%2e%2e/globex", "acme/..%2fglobex", "acme//../globex", "acme\\..\\globex")
    for url in (other, "s3://headrace-other/acme/talk.wav", *(f"{base}/{trick}/talk.wav" for trick in tricks)):
        assert (await refused(sources, blobs, url)).code == FailureCode.SOURCE_BLOCKED
    assert (
        await refused(sources, blobs, f"{base}/acme/talk.wav", source_buckets=())
    ).code == FailureCode.SOURCE_BLOCKED


async def test_a_missing_object_is_refused_as_a_missing_url_is(sources: Sources, blobs: BlobStore) -> None:
    error = await refused(sources, blobs, f"{sources.bucket.url}/acme/none.wav")
    assert (error.code, error.transient) == (FailureCode.SOURCE_REFUSED, False)
    assert error.message == "The server of the `audio_url` did not find it (404)."


async def test_an_object_that_is_too_large_or_no_audio_is_refused(sources: Sources, blobs: BlobStore) -> None:
    url = await sources.put("acme/talk.wav")
    assert (await refused(sources, blobs, url, max_upload_bytes=5000)).code == FailureCode.SOURCE_TOO_LARGE
    page = await sources.put("acme/page.wav", b"<html>no audio</html>")
    assert (await refused(sources, blobs, page)).code == FailureCode.UNSUPPORTED_MEDIA
    empty = await sources.put("acme/empty.wav", b"")
    assert (await refused(sources, blobs, empty)).code == FailureCode.EMPTY_AUDIO


async def test_credentials_that_the_server_refuses_are_a_refusal(
    sources: Sources, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await sources.put("acme/talk.wav")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    error = await refused(sources, blobs, url)
    assert (error.code, error.transient) == (FailureCode.SOURCE_REFUSED, False)


async def test_a_server_that_is_gone_is_attempted_again(
    sources: Sources, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    error = await refused(sources, blobs, f"{sources.bucket.url}/acme/talk.wav")
    assert (error.code, error.transient) == (FailureCode.SOURCE_UNAVAILABLE, True)


async def test_an_object_that_changes_is_downloaded_from_its_start(
    sources: Sources, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = wav() + bytes(20_000)
    url = await sources.put("acme/talk.wav")
    monkeypatch.setattr(bucket_object, "PIECE_BYTES", 4000)
    read, reads = bucket_object._read, 0

    async def read_and_replace(*arguments: Any) -> bytes:
        nonlocal reads
        reads += 1
        piece = await read(*arguments)
        if reads == 1:
            await sources.put("acme/talk.wav", newer)
        return piece

    monkeypatch.setattr(bucket_object, "_read", read_and_replace)
    job_id = await sources.fetch(url)
    assert await blobs.get(blob_keys.source(job_id)) == newer
