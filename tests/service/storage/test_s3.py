"""Faults of a remote store: refusals, overload, broken connections, outages."""

import asyncio
import contextlib
import json
import random
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from ingest_service.settings import IngestSettings
from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.blobs.bucket import PART_BYTES
from shared.secret import Secret
from tests.support.ingest.process import running
from tests.support.ingest.serving import until
from tests.support.ingest.sounds import wav
from tests.support.stack.launched import ROOT
from tests.support.storage.bucket import ACCESS_KEY, SECRET_KEY, Bucket
from tests.support.storage.fixtures import set_environment
from tests.support.storage.front import Front
from tests.support.storage.seaweedfs import SeaweedFS
from tests.support.storage.stores import Store, environment
from tests.tools.chaos.proxy import Mode, Proxy

KEY = "jobs/one/source"
MARK = b"-- the middle of a part --"
PARTS = 3
WRONG_KEY = "a-secret-of-the-test"
FEW = 3

Ask = Callable[[BlobStore], Awaitable[object]]


async def _keys(blobs: BlobStore) -> list[str]:
    return [blob.key async for page in blobs.walk("jobs") for blob in page]


def _part(number: int) -> bytes:
    """Return a part; the first one does not contain MARK."""
    return b"x" * PART_BYTES if number == 0 else MARK * (PART_BYTES // len(MARK) + 1)


WHOLE = b"".join(map(_part, range(PARTS)))


async def _many_parts() -> AsyncIterator[bytes]:
    for number in range(PARTS):
        yield _part(number)


ASKS: dict[str, Ask] = {
    "put": lambda blobs: blobs.put(KEY, b"x"),
    "put in parts": lambda blobs: blobs.put(KEY, _many_parts()),
    "get": lambda blobs: blobs.get(KEY),
    "size": lambda blobs: blobs.size(KEY),
    "read": lambda blobs: anext(blobs.read(KEY, 0, 1)),
    "list": _keys,
    "delete": lambda blobs: blobs.delete("jobs"),
    "delete keys": lambda blobs: blobs.delete_keys([KEY]),
    "check": lambda blobs: blobs.check(),
}
any_request = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())


def short_timeouts(bucket: Bucket, *, timeout_s: float = 20, retry_s: float = 0.2) -> BlobStore:
    return BlobStore(bucket.url, timeout_s=timeout_s, retry_s=retry_s)


@pytest_asyncio.fixture
async def front(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    """A faulty proxy. Stores that are opened now connect to it."""
    async with Front(bucket.endpoint).listening() as front:
        set_environment(monkeypatch, environment(front.url))
        yield front


@pytest_asyncio.fixture
async def proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A TCP proxy whose connections can be cut. Stores that are opened now connect to it."""
    async with Proxy(int(urlsplit(bucket.endpoint).port or 0)).listening() as proxy:
        set_environment(monkeypatch, environment(f"http://127.0.0.1:{proxy.port}"))
        yield proxy


# --- refusals --------------------------------------------------------------------------------------------------------


@any_request
async def test_wrong_credentials_are_a_clear_error_without_secrets(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    set_environment(monkeypatch, environment(bucket.endpoint, secret_key=WRONG_KEY))

    with pytest.raises(BlobStoreError, match="403 Forbidden") as caught:
        await ask(short_timeouts(bucket))

    text = "".join(traceback.format_exception(caught.value))
    assert not isinstance(caught.value, BlobNotFoundError)
    assert not [secret for secret in (WRONG_KEY, SECRET_KEY, ACCESS_KEY, "Signature=") if secret in text]
    assert await bucket.uploads() == []


@any_request
@pytest.mark.usefixtures("s3")
async def test_a_missing_bucket_is_not_a_missing_blob(bucket: Bucket, ask: Ask) -> None:
    with pytest.raises(BlobStoreError) as caught:
        await ask(short_timeouts(Bucket(bucket.endpoint, "nobodys", "prefix")))

    assert not isinstance(caught.value, BlobNotFoundError)


async def test_plain_http_must_be_allowed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, {**environment(bucket.endpoint), "AWS_ALLOW_HTTP": "false"})

    with pytest.raises(BlobStoreError, match="AWS_ALLOW_HTTP=true"):
        await short_timeouts(bucket).check()


@pytest.mark.parametrize("url", ["s3://", "ftp://bucket/prefix", "https://example.com/bucket", "nonsense"])
def test_an_invalid_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(BlobStoreError):
        BlobStore(url)


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("gs://bucket/prefix", {"GOOGLE_SKIP_SIGNATURE": "true"}),
        ("az://container/prefix", {"AZURE_STORAGE_ACCOUNT_NAME": "ours", "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0"}),
    ],
)
def test_buckets_of_other_clouds_can_be_opened(
    url: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert BlobStore(url).free_bytes() is None


# --- overload --------------------------------------------------------------------------------------------------------


@any_request
async def test_a_request_to_a_busy_server_is_repeated(front: Front, bucket: Bucket, ask: Ask) -> None:
    blobs = short_timeouts(bucket, retry_s=10)
    await blobs.put(KEY, b"x")
    front.refuse(FEW)

    await ask(blobs)

    assert len(front.spoilt) == FEW


@any_request
async def test_a_server_that_stays_busy_is_an_error(front: Front, bucket: Bucket, ask: Ask) -> None:
    blobs = short_timeouts(bucket)
    await blobs.put(KEY, b"x")
    front.refuse(1_000_000)

    with pytest.raises(BlobStoreError, match="503 Service Unavailable"):
        await ask(blobs)

    assert len(front.spoilt) > 1


@pytest.mark.parametrize(
    ("method", "words"), [("PUT", "partNumber=1"), ("PUT", f"partNumber={PARTS}"), ("POST", "uploadId=")]
)
async def test_an_upload_refused_midway_leaves_no_part(front: Front, bucket: Bucket, method: str, words: str) -> None:
    front.refuse(1_000_000, method, words)

    with pytest.raises(BlobStoreError, match="SlowDown"):
        await short_timeouts(bucket).put(KEY, _many_parts())

    assert front.spoilt
    assert (await bucket.keys(), await bucket.uploads()) == ([], [])


async def test_the_first_error_is_raised_if_the_abort_fails_too(front: Front, bucket: Bucket) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        async for part in _many_parts():
            yield part
        front.refuse(1_000_000)
        raise ValueError("the client is gone")

    with pytest.raises(ValueError, match="the client is gone"):
        await short_timeouts(bucket).put(KEY, breaking())

    assert front.spoilt[0].startswith("DELETE")


# --- outages ---------------------------------------------------------------------------------------------------------


async def test_a_connection_broken_within_a_part_is_recovered(proxy: Proxy, bucket: Bucket) -> None:
    blobs = short_timeouts(bucket, retry_s=10)
    cuts = proxy.cut_at(MARK, times=2, chance=1, rng=random.Random(0))

    await blobs.put(KEY, _many_parts())

    assert cuts.done == 2
    assert await blobs.get(KEY) == WHOLE
    assert await bucket.uploads() == []


@pytest.mark.parametrize(("method", "words"), [("POST", "uploads"), ("PUT", "partNumber=2")])
async def test_a_request_with_a_lost_answer_is_repeated(front: Front, bucket: Bucket, method: str, words: str) -> None:
    blobs = short_timeouts(bucket, retry_s=10)
    front.lose_answers(1, method, words)

    await blobs.put(KEY, _many_parts())

    assert len(front.spoilt) == 1
    assert await blobs.size(KEY) == len(WHOLE)


async def test_after_a_completion_with_a_lost_answer_the_blob_is_whole(front: Front, bucket: Bucket) -> None:
    blobs = short_timeouts(bucket, retry_s=10)
    front.lose_answers(1, "POST", "uploadId=")

    with contextlib.suppress(BlobStoreError):  # for the repeated request, the upload no longer exists
        await blobs.put(KEY, _many_parts())

    assert len(front.spoilt) == 1
    assert await blobs.get(KEY) == WHOLE
    assert await bucket.uploads() == []


async def test_a_connection_broken_in_every_part_leaves_no_part(proxy: Proxy, bucket: Bucket) -> None:
    proxy.cut_at(MARK, times=1_000_000, chance=1, rng=random.Random(0))

    with pytest.raises(BlobStoreError):
        await short_timeouts(bucket).put(KEY, _many_parts())

    assert (await bucket.keys(), await bucket.uploads()) == ([], [])


async def test_a_permanent_outage_is_an_error_and_leaves_no_blob(proxy: Proxy, bucket: Bucket) -> None:
    async def outlived() -> AsyncIterator[bytes]:
        async for part in _many_parts():
            yield part
        proxy.set(Mode.REFUSE)

    blobs = short_timeouts(bucket)
    with pytest.raises(BlobStoreError, match="error sending request"):
        await blobs.put(KEY, outlived())
    assert await bucket.uploads() == [KEY], "it could not be aborted; the lifecycle rule removes it"

    proxy.set(Mode.PASS)
    with pytest.raises(BlobNotFoundError):
        await blobs.size(KEY)
    await blobs.put(KEY, _many_parts())
    assert await blobs.size(KEY)


async def test_a_hanging_server_is_an_error_after_the_timeout(proxy: Proxy, bucket: Bucket) -> None:
    blobs = short_timeouts(bucket, timeout_s=0.5, retry_s=0)
    await blobs.put(KEY, b"x")
    proxy.set(Mode.FREEZE)

    async with asyncio.timeout(20):
        with pytest.raises(BlobStoreError):
            await blobs.get(KEY)


async def test_a_put_to_a_hanging_server_can_be_cancelled(proxy: Proxy, bucket: Bucket) -> None:
    frozen = asyncio.Event()

    async def freezing() -> AsyncIterator[bytes]:
        parts = _many_parts()
        yield await anext(parts)
        proxy.set(Mode.FREEZE)
        frozen.set()
        async for part in parts:
            yield part

    putting = asyncio.create_task(short_timeouts(bucket, timeout_s=2, retry_s=0).put(KEY, freezing()))
    await frozen.wait()
    putting.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await putting


# --- a killed process ------------------------------------------------------------------------------------------------


async def test_the_servers_cleanup_finds_the_upload_of_a_killed_ingest(
    bucket: Bucket, seaweedfs: SeaweedFS, database_url: str, redis_url: str, s3: Store
) -> None:
    """Obstore cannot list multipart uploads. The bucket's lifecycle rule aborts them, from the same list."""
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield wav(2 * PART_BYTES)
        await begun.wait()  # without end: the ingest is killed first

    async def is_begun() -> bool:
        return bool(await bucket.uploads())

    settings = IngestSettings(
        database_url=Secret(database_url), redis_url=Secret(redis_url), storage_url=s3.url, ingest_processes=1
    )
    async with running(settings) as (process, url), aiohttp.ClientSession() as client:
        sending = asyncio.create_task(
            client.post(f"{url}/v1/jobs", data=endless(), headers={"Content-Type": "audio/wav"})
        )
        await until(is_begun)
        process.kill()
        with pytest.raises(aiohttp.ClientError):
            await sending
    (left,) = await bucket.uploads()
    assert left.startswith("jobs/")
    assert await bucket.keys() == []

    said = await seaweedfs.abort_old_uploads()
    assert await bucket.uploads() == [], said


async def test_the_server_accepts_the_lifecycle_rule_for_abandoned_uploads(bucket: Bucket) -> None:
    await bucket.set_lifecycle(_rule_in_xml((ROOT / "deploy/s3-lifecycle.json").read_text()))

    assert "<DaysAfterInitiation>1</DaysAfterInitiation>" in await bucket.lifecycle()


def _rule_in_xml(rules: str) -> str:
    """Return the rules as XML for the API. Command-line tools take JSON."""

    def xml(value: Any) -> str:
        if isinstance(value, dict):
            return "".join(f"<{name}>{xml(inner)}</{name}>" for name, inner in value.items())
        return str(value)

    (rule,) = json.loads(rules)["Rules"]
    return f"<LifecycleConfiguration><Rule>{xml(rule)}</Rule></LifecycleConfiguration>"
