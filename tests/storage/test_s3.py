"""What only a server far away can do to us: refuse us, be busy, be cut off, be gone, or not be there at all."""

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
from tests.chaos.proxy import Mode, Proxy
from tests.ingest.process import running
from tests.ingest.serving import until
from tests.ingest.sounds import wav
from tests.stack.launched import ROOT
from tests.storage.bucket import ACCESS_KEY, SECRET_KEY, Bucket
from tests.storage.conftest import set_environment
from tests.storage.front import Front
from tests.storage.seaweedfs import SeaweedFS
from tests.storage.stores import Store, environment

KEY = "jobs/one/source"
MARK = b"-- the middle of a part --"
PARTS = 3
WRONG_KEY = "a-secret-that-nobody-may-read"
FEW = 3

Ask = Callable[[BlobStore], Awaitable[object]]


async def _keys(blobs: BlobStore) -> list[str]:
    return [blob.key async for page in blobs.walk("jobs") for blob in page]


def _part(number: int) -> bytes:
    """The first has no mark in it."""
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


def impatient(bucket: Bucket, *, timeout_s: float = 20, retry_s: float = 0.2) -> BlobStore:
    return BlobStore(bucket.url, timeout_s=timeout_s, retry_s=retry_s)


@pytest_asyncio.fixture
async def front(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    """A front to which stores that are opened now connect."""
    async with Front(bucket.endpoint).listening() as front:
        set_environment(monkeypatch, environment(front.url))
        yield front


@pytest_asyncio.fixture
async def proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A line to the server which may be cut, through which stores that are opened now connect."""
    async with Proxy(int(urlsplit(bucket.endpoint).port or 0)).listening() as proxy:
        set_environment(monkeypatch, environment(f"http://127.0.0.1:{proxy.port}"))
        yield proxy


# --- refused -------------------------------------------------------------------------------------------------------


@any_request
async def test_wrong_credentials_are_a_clear_error_that_names_no_secret(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    set_environment(monkeypatch, environment(bucket.endpoint, secret_key=WRONG_KEY))

    with pytest.raises(BlobStoreError, match="403 Forbidden") as caught:
        await ask(impatient(bucket))

    told = "".join(traceback.format_exception(caught.value))
    assert not isinstance(caught.value, BlobNotFoundError)
    assert not [secret for secret in (WRONG_KEY, SECRET_KEY, ACCESS_KEY, "Signature=") if secret in told]
    assert await bucket.uploads() == []


@any_request
@pytest.mark.usefixtures("s3")
async def test_a_missing_bucket_is_no_missing_blob(bucket: Bucket, ask: Ask) -> None:
    with pytest.raises(BlobStoreError) as caught:
        await ask(impatient(Bucket(bucket.endpoint, "nobodys", "prefix")))

    assert not isinstance(caught.value, BlobNotFoundError)


async def test_plain_http_must_be_allowed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, {**environment(bucket.endpoint), "AWS_ALLOW_HTTP": "false"})

    with pytest.raises(BlobStoreError, match="AWS_ALLOW_HTTP=true"):
        await impatient(bucket).check()


@pytest.mark.parametrize("url", ["s3://", "ftp://bucket/prefix", "https://example.com/bucket", "nonsense"])
def test_a_url_that_leads_nowhere_is_told_at_once(url: str) -> None:
    with pytest.raises(BlobStoreError):
        BlobStore(url)


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("gs://bucket/prefix", {"GOOGLE_SKIP_SIGNATURE": "true"}),
        ("az://container/prefix", {"AZURE_STORAGE_ACCOUNT_NAME": "ours", "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0"}),
    ],
)
def test_other_clouds_buckets_can_be_opened(
    url: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert BlobStore(url).free_bytes() is None


# --- busy ----------------------------------------------------------------------------------------------------------


@any_request
async def test_a_busy_server_is_asked_again(front: Front, bucket: Bucket, ask: Ask) -> None:
    blobs = impatient(bucket, retry_s=10)
    await blobs.put(KEY, b"x")
    front.refuse(FEW)

    await ask(blobs)

    assert len(front.spoilt) == FEW


@any_request
async def test_a_server_that_stays_busy_is_an_error(front: Front, bucket: Bucket, ask: Ask) -> None:
    blobs = impatient(bucket)
    await blobs.put(KEY, b"x")
    front.refuse(1_000_000)

    with pytest.raises(BlobStoreError, match="503 Service Unavailable"):
        await ask(blobs)

    assert len(front.spoilt) > 1


@pytest.mark.parametrize(
    ("method", "words"), [("PUT", "partNumber=1"), ("PUT", f"partNumber={PARTS}"), ("POST", "uploadId=")]
)
async def test_an_upload_that_the_server_refuses_midway_leaves_no_part(
    front: Front, bucket: Bucket, method: str, words: str
) -> None:
    front.refuse(1_000_000, method, words)

    with pytest.raises(BlobStoreError, match="SlowDown"):
        await impatient(bucket).put(KEY, _many_parts())

    assert front.spoilt
    assert (await bucket.keys(), await bucket.uploads()) == ([], [])


async def test_the_first_error_is_told_when_the_upload_cannot_be_aborted_either(front: Front, bucket: Bucket) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        async for part in _many_parts():
            yield part
        front.refuse(1_000_000)
        raise ValueError("the client is gone")

    with pytest.raises(ValueError, match="the client is gone"):
        await impatient(bucket).put(KEY, breaking())

    assert front.spoilt[0].startswith("DELETE")


# --- cut off and gone ----------------------------------------------------------------------------------------------


async def test_a_line_that_breaks_in_the_middle_of_a_part_costs_nothing(proxy: Proxy, bucket: Bucket) -> None:
    blobs = impatient(bucket, retry_s=10)
    cuts = proxy.cut_at(MARK, times=2, chance=1, rng=random.Random(0))

    await blobs.put(KEY, _many_parts())

    assert cuts.done == 2
    assert await blobs.get(KEY) == WHOLE
    assert await bucket.uploads() == []


@pytest.mark.parametrize(("method", "words"), [("POST", "uploads"), ("PUT", "partNumber=2")])
async def test_a_request_whose_answer_is_lost_is_made_again(
    front: Front, bucket: Bucket, method: str, words: str
) -> None:
    blobs = impatient(bucket, retry_s=10)
    front.lose_answers(1, method, words)

    await blobs.put(KEY, _many_parts())

    assert len(front.spoilt) == 1
    assert await blobs.size(KEY) == len(WHOLE)


async def test_a_completion_whose_answer_is_lost_may_be_an_error_but_the_blob_is_whole(
    front: Front, bucket: Bucket
) -> None:
    blobs = impatient(bucket, retry_s=10)
    front.lose_answers(1, "POST", "uploadId=")

    with contextlib.suppress(BlobStoreError):  # asked once more, the server knows of no such upload
        await blobs.put(KEY, _many_parts())

    assert len(front.spoilt) == 1
    assert await blobs.get(KEY) == WHOLE
    assert await bucket.uploads() == []


async def test_a_line_that_breaks_each_part_leaves_no_part(proxy: Proxy, bucket: Bucket) -> None:
    proxy.cut_at(MARK, times=1_000_000, chance=1, rng=random.Random(0))

    with pytest.raises(BlobStoreError):
        await impatient(bucket).put(KEY, _many_parts())

    assert (await bucket.keys(), await bucket.uploads()) == ([], [])


async def test_a_server_that_is_gone_for_good_is_an_error_and_no_blob(proxy: Proxy, bucket: Bucket) -> None:
    async def outlived() -> AsyncIterator[bytes]:
        async for part in _many_parts():
            yield part
        proxy.set(Mode.REFUSE)

    blobs = impatient(bucket)
    with pytest.raises(BlobStoreError, match="error sending request"):
        await blobs.put(KEY, outlived())
    assert await bucket.uploads() == [KEY], "nobody could abort it: it is the lifecycle rule's"

    proxy.set(Mode.PASS)
    with pytest.raises(BlobNotFoundError):
        await blobs.size(KEY)
    await blobs.put(KEY, _many_parts())
    assert await blobs.size(KEY)


async def test_a_server_that_hangs_is_an_error_within_the_timeout(proxy: Proxy, bucket: Bucket) -> None:
    blobs = impatient(bucket, timeout_s=0.5, retry_s=0)
    await blobs.put(KEY, b"x")
    proxy.set(Mode.FREEZE)

    async with asyncio.timeout(20):
        with pytest.raises(BlobStoreError):
            await blobs.get(KEY)


async def test_a_put_that_is_cancelled_while_the_server_hangs_ends(proxy: Proxy, bucket: Bucket) -> None:
    frozen = asyncio.Event()

    async def freezing() -> AsyncIterator[bytes]:
        parts = _many_parts()
        yield await anext(parts)
        proxy.set(Mode.FREEZE)
        frozen.set()
        async for part in parts:
            yield part

    putting = asyncio.create_task(impatient(bucket, timeout_s=2, retry_s=0).put(KEY, freezing()))
    await frozen.wait()
    putting.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await putting


# --- what a killed process leaves ----------------------------------------------------------------------------------


async def test_an_ingest_that_is_killed_in_mid_part_leaves_what_the_servers_housekeeping_finds(
    bucket: Bucket, seaweedfs: SeaweedFS, database_url: str, redis_url: str, s3: Store
) -> None:
    """Obstore can list no multipart uploads, so neither can we: the bucket's rule aborts them, by the same list."""
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield wav(2 * PART_BYTES)
        await begun.wait()  # for ever: the ingest dies before

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


async def test_the_server_takes_the_rule_that_removes_abandoned_uploads(bucket: Bucket) -> None:
    await bucket.set_lifecycle(_rule_in_xml((ROOT / "deploy/s3-lifecycle.json").read_text()))

    assert "<DaysAfterInitiation>1</DaysAfterInitiation>" in await bucket.lifecycle()


def _rule_in_xml(rules: str) -> str:
    """The rules as the API wants them; what people use to set them takes JSON."""

    def xml(value: Any) -> str:
        if isinstance(value, dict):
            return "".join(f"<{name}>{xml(inner)}</{name}>" for name, inner in value.items())
        return str(value)

    (rule,) = json.loads(rules)["Rules"]
    return f"<LifecycleConfiguration><Rule>{xml(rule)}</Rule></LifecycleConfiguration>"
