"""Results in a folder of a bucket, on a real S3 server."""

import asyncpg
import msgspec
import obstore
import pytest

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.blobs.bucket import open_bucket
from shared.schemas.transcript import Transcript
from tests.service.results.conftest import TRANSCRIPT, Complete, Write, rows_of
from tests.support.storage.bucket import Bucket
from tests.support.storage.fixtures import bucket, s3, seaweedfs
from tests.support.storage.stores import Store

__all__ = ["bucket", "s3", "seaweedfs"]  # fixtures

pytestmark = pytest.mark.shares("seaweedfs")


def folders(bucket: Bucket) -> tuple[str, ...]:
    return (f"{bucket.name}/{bucket.prefix}/{{tenant}}",)


async def content(bucket: Bucket, key: str) -> tuple[bytes, str]:
    store = open_bucket(f"s3://{bucket.name}", timeout_s=10, retry_s=0)
    found = await obstore.get_async(store, f"{bucket.prefix}/{key}")
    return bytes(await found.bytes_async()), str(found.attributes["Content-Type"])


async def test_results_are_objects_named_by_the_job(  # noqa: PLR0913, PLR0917 - fixtures
    s3: Store, bucket: Bucket, complete: Complete, write: Write, database: asyncpg.Pool, blobs: BlobStore
) -> None:
    """A new diarization writes them again."""
    job_id = await complete(f"{s3.url}/acme/2026", ("json", "srt", "textgrid"))
    await write(result_buckets=folders(bucket))
    names = [f"acme/2026/{job_id}.{suffix}" for suffix in ("TextGrid", "json", "srt")]
    assert await bucket.keys() == sorted(names)
    data, media_type = await content(bucket, names[1])
    assert (msgspec.json.decode(data, type=Transcript), media_type) == (TRANSCRIPT, "application/json")
    rows = await rows_of(database, job_id)
    assert {(row["state"], row["shown"]) for row in rows.values()} == {("written", f"s3://{bucket.name}")}

    again = msgspec.structs.replace(TRANSCRIPT, text="Again.")
    await blobs.put(blob_keys.transcript(job_id, 1), msgspec.json.encode(again))
    await database.execute("UPDATE result_writes SET due_at = now(), state = 'waiting' WHERE target IS NOT NULL")
    await write(result_buckets=folders(bucket))
    assert msgspec.json.decode((await content(bucket, names[1]))[0], type=Transcript).text == "Again."


@pytest.mark.parametrize(
    "folder", ["globex", "acme/../globex", "acme/%2e%2e/globex", "acme2", "", "acme/..%2fglobex", "acme\\..\\globex"]
)
async def test_folders_of_others_are_blocked_by_the_processor_too(  # noqa: PLR0913, PLR0917 - fixtures
    s3: Store, bucket: Bucket, complete: Complete, write: Write, database: asyncpg.Pool, folder: str
) -> None:
    job_id = await complete({"json": "http://127.0.0.1:1/"})
    target = f"{s3.url}/{folder}/{job_id}.json"
    await database.execute("UPDATE result_writes SET target = $1", target)
    await write(result_buckets=folders(bucket))
    row = (await rows_of(database, job_id))["json"]
    assert (row["state"], row["attempts"]) == ("failed", 1)
    assert "may not write" in row["error"]
    assert await bucket.keys() == []


async def test_a_bucket_that_does_not_exist_is_final_and_a_server_that_is_gone_is_not(
    s3: Store, complete: Complete, write: Write, database: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3.url
    missing = await complete("s3://no-such-bucket-here/")
    await write(result_buckets=("no-such-bucket-here",))
    row = (await rows_of(database, missing))["json"]
    assert (row["state"], row["error"]) == ("failed", "The bucket does not exist or does not let the service write.")

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    later = await complete("s3://no-such-bucket-here/")
    await write(result_buckets=("no-such-bucket-here",))
    row = (await rows_of(database, later))["json"]
    assert (row["state"], row["attempts"], row["error"]) == ("waiting", 1, "The bucket did not take the result.")
