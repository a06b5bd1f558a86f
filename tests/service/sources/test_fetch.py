"""Fetching sources from a real server over real sockets that break."""

import asyncio
import hashlib
import random

import asyncpg
import pytest

from processor_service.errors import TaskError
from processor_service.tasks.outcomes import Fetched
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.schemas.failures import FailureCode
from tests.service.processor.conftest import job_row
from tests.service.sources.conftest import ClaimUrl, Fail, Fetch, FetcherWith
from tests.support.sources.server import (
    ETAG,
    Connection,
    Script,
    Server,
    answering,
    chunked,
    flooding,
    head,
    redirecting,
    serving,
    stalling,
)

AUDIO = b"fLaC" + random.Random(0).randbytes(400_000)
OTHER = b"fLaC" + random.Random(1).randbytes(300_000)
DATES = ("last-modified: Mon, 02 Nov 2026 10:00:00 GMT", "date: Mon, 02 Nov 2026 10:00:01 GMT")


FACTS = Fetched("flac", len(AUDIO), hashlib.sha256(AUDIO).hexdigest())


async def test_the_source_is_stored_and_its_facts_are_returned(
    claim_url: ClaimUrl, fetcher_with: FetcherWith, blobs: BlobStore
) -> None:
    async with Server(serving(AUDIO)).listening() as server:
        task = await claim_url(server.url)
        assert await (await fetcher_with()).fetch(task) == FACTS

    assert await blobs.get(blob_keys.source(task.job_id)) == AUDIO
    (asked,) = server.asked
    assert (asked.target, asked.headers["accept-encoding"]) == ("/talk.wav?signature=s3cret", "identity")
    assert not {"range", "cookie", "authorization", "referer"} & asked.headers.keys()


async def test_an_unknown_length_is_accepted(fetch: Fetch) -> None:
    async with Server(chunked(AUDIO)).listening() as server:
        assert await fetch(server.url) == AUDIO


@pytest.mark.parametrize(("headers", "validator"), [((ETAG,), '"one"'), (DATES, DATES[0].partition(": ")[2])])
async def test_a_broken_download_resumes_at_its_offset(fetch: Fetch, headers: tuple[str, ...], validator: str) -> None:
    cut = serving(AUDIO, *headers, cut_after=100_000)
    async with Server(cut, cut, serving(AUDIO, *headers)).listening() as server:
        assert await fetch(server.url) == AUDIO

    first, second, third = [asked.start for asked in server.asked]
    assert first == 0 < second <= 100_000 < third <= 200_000  # the last bytes before a break may be lost
    assert [asked.headers.get("if-range") for asked in server.asked] == [None, validator, validator]


async def test_a_download_with_progress_may_break_any_number_of_times(fetch: Fetch) -> None:
    async with Server(serving(AUDIO, ETAG, cut_after=150_000)).listening() as server:
        assert await fetch(server.url) == AUDIO

    assert len(server.asked) >= 3


async def test_a_briefly_unavailable_server_is_retried(fetch: Fetch) -> None:
    unavailable = answering(503, "retry-after: 3600")
    async with Server(serving(AUDIO, ETAG, cut_after=70_000), unavailable, serving(AUDIO, ETAG)).listening() as server:
        assert await fetch(server.url) == AUDIO


@pytest.mark.parametrize(
    "headers", [(), ('etag: W/"weak"',), (DATES[0],), ("last-modified: yesterday", DATES[1]), ("etag: one",)]
)
async def test_without_a_strong_validator_the_download_restarts(fetch: Fetch, headers: tuple[str, ...]) -> None:
    async with Server(serving(AUDIO, *headers, cut_after=100_000), serving(OTHER, *headers)).listening() as server:
        assert await fetch(server.url) == OTHER

    assert [asked.start for asked in server.asked] == [0, 0]


def rest_of(data: bytes, *headers: str, too_early: int = 0, span: bool = True) -> Script:
    """Answer a resumed download with a 206 that may have a wrong range."""

    async def script(connection: Connection) -> None:
        start = connection.asked.start - too_early
        content_range = [f"content-range: bytes {start}-{len(data) - 1}/{len(data)}"] if span else []
        await answering(206, *headers, *content_range, body=data[start:])(connection)

    return script


@pytest.mark.parametrize(
    "instead",
    [
        answering(200, 'etag: "two"', body=OTHER),
        rest_of(AUDIO, 'etag: "two"'),
        rest_of(AUDIO, ETAG, too_early=1),
        rest_of(OTHER, ETAG),
        rest_of(AUDIO, ETAG, span=False),
        answering(416, "content-range: bytes */300004"),
    ],
)
async def test_a_wrong_range_is_never_appended(fetch: Fetch, instead: Script) -> None:
    cut = serving(AUDIO, ETAG, cut_after=100_000)
    async with Server(cut, instead, serving(OTHER, 'etag: "two"')).listening() as server:
        assert await fetch(server.url) == OTHER

    first, second, third = [asked.start for asked in server.asked]
    assert first == third == 0 < second


@pytest.mark.parametrize(
    "script",
    [
        serving(AUDIO, ETAG, cut_after=0),
        answering(200, body=AUDIO, length=len(AUDIO) + 1),
        chunked(AUDIO, ended=False),
        answering(200, ETAG, body=AUDIO[:9000], length=len(AUDIO)),
    ],
)
async def test_a_source_that_never_completes_is_unavailable(fail: Fail, script: Script) -> None:
    async with Server(script).listening() as server:
        error = await fail(server.url)

    assert (error.code, error.transient) == (FailureCode.SOURCE_UNAVAILABLE, True)
    assert len(server.asked) <= 6


async def test_a_source_with_a_too_large_length_is_refused(fail: Fail) -> None:
    async with Server(stalling(head(200, "content-length: 1000001"))).listening() as server:
        error = await fail(server.url, max_upload_bytes=1_000_000)

    assert (error.code, error.transient) == (FailureCode.SOURCE_TOO_LARGE, False)


async def test_a_body_without_end_is_cut_off(fail: Fail) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    start = head(200, "transfer-encoding: chunked") + b"4\r\nfLaC\r\n"
    async with Server(flooding(start, chunk)).listening() as server:
        error = await fail(server.url, max_upload_bytes=3_000_000)
        await server.ended()

    assert (error.code, error.transient, len(server.asked)) == (FailureCode.SOURCE_TOO_LARGE, False, 1)


async def test_a_source_of_the_largest_size_is_accepted(fetch: Fetch) -> None:
    async with Server(chunked(AUDIO)).listening() as server:
        assert await fetch(server.url, max_upload_bytes=len(AUDIO)) == AUDIO


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", head(200, "content-length: 99") + b"fLaC"])
async def test_a_hanging_server_times_out(fail: Fail, start: bytes) -> None:
    async with Server(stalling(start)).listening() as server:
        error = await fail(server.url, fetch_silence_s=0.2)
        await server.ended()

    assert (error.code, error.transient) == (FailureCode.SOURCE_UNAVAILABLE, True)


@pytest.mark.parametrize("headers", [(), (ETAG,)])
async def test_a_trickling_server_is_too_slow(fail: Fail, headers: tuple[str, ...]) -> None:
    start = head(200, "content-length: 99999999", *headers) + b"fLaC"
    async with Server(flooding(start, b"x", pause_s=0.01)).listening() as server:
        error = await fail(server.url, fetch_silence_s=0.2)

    assert error.code == FailureCode.SOURCE_UNAVAILABLE
    assert "too slowly" in error.message or "changed the content" in error.message


async def test_the_total_time_is_limited(fail: Fail) -> None:
    start = head(200, "content-length: 99999999") + b"fLaC"
    async with Server(flooding(start, bytes(1000), pause_s=0.01)).listening() as server:
        error = await fail(server.url, fetch_timeout_s=0.5)
        await server.ended()

    assert (error.code, error.transient) == (FailureCode.SOURCE_UNAVAILABLE, True)
    assert "took longer" in error.message


@pytest.mark.parametrize(
    ("script", "code", "retry_after_s"),
    [
        (answering(404), FailureCode.SOURCE_REFUSED, None),
        (answering(410), FailureCode.SOURCE_REFUSED, None),
        (answering(401), FailureCode.SOURCE_REFUSED, None),
        (answering(403), FailureCode.SOURCE_REFUSED, None),
        (answering(400, "retry-after: 5"), FailureCode.SOURCE_REFUSED, None),
        (answering(204), FailureCode.SOURCE_REFUSED, None),
        (answering(206, "content-range: bytes 0-3/4", body=b"fLaC"), FailureCode.SOURCE_REFUSED, None),
        (answering(304), FailureCode.SOURCE_REFUSED, None),
        (answering(302), FailureCode.SOURCE_REFUSED, None),
        (answering(500), FailureCode.SOURCE_UNAVAILABLE, None),
        (answering(503, "retry-after: 77"), FailureCode.SOURCE_UNAVAILABLE, 77),
        (answering(429, "retry-after: Mon, 02 Nov 2026 10:00:09 GMT", DATES[1]), FailureCode.SOURCE_UNAVAILABLE, 8),
        (answering(408), FailureCode.SOURCE_UNAVAILABLE, None),
        (answering(200, body=b"<html>" * 100), FailureCode.UNSUPPORTED_MEDIA, None),
        (answering(200, body=b"#EXTM3U\nhttp://169.254.169.254/"), FailureCode.UNSUPPORTED_MEDIA, None),
        (answering(200), FailureCode.EMPTY_AUDIO, None),
        (stalling(b"SSH-2.0-OpenSSH\r\n\r\n"), FailureCode.SOURCE_UNAVAILABLE, None),
    ],
)
async def test_an_answer_without_a_source_has_a_failure_code(
    fail: Fail, script: Script, code: FailureCode, retry_after_s: float | None
) -> None:
    async with Server(script).listening() as server:
        error = await fail(server.url, fetch_silence_s=1.0)

    assert (error.code, error.retry_after_s) == (code, retry_after_s)
    assert error.transient == (code == FailureCode.SOURCE_UNAVAILABLE)
    assert len(server.asked) == 1


async def test_an_unreachable_server_is_transient(fail: Fail) -> None:
    async with Server().listening() as server:
        url = server.url
    error = await fail(url)

    assert (error.code, error.transient) == (FailureCode.SOURCE_UNAVAILABLE, True)
    assert "could not be reached" in error.message


async def test_a_url_is_requested_without_normalization(fetch: Fetch) -> None:
    """A signature may cover the exact characters."""
    written = "/a%28b%29%7e/%2f+x?s=a%2Bb%28%2f&y=%7E;z='"
    async with Server(redirecting(written + "&again"), serving(AUDIO)).listening() as server:
        assert await fetch(f"http://127.0.0.1:{server.port}{written}#fragment") == AUDIO

    assert [asked.target for asked in server.asked] == [written, written + "&again"]


async def test_redirects_are_followed(fetch: Fetch) -> None:
    async with Server(serving(AUDIO)).listening() as other:
        hops = redirecting("/a"), redirecting("b?c", 301), redirecting(other.url, 308)
        async with Server(*hops).listening() as it:
            assert await fetch(it.url) == AUDIO

    assert [asked.target for asked in it.asked] == ["/talk.wav?signature=s3cret", "/a", "/b?c"]
    assert "referer" not in other.asked[0].headers


async def test_the_number_of_redirects_is_limited(fail: Fail) -> None:
    async with Server(redirecting("/again")).listening() as server:
        error = await fail(server.url)

    assert (error.code, error.transient, len(server.asked)) == (FailureCode.SOURCE_REFUSED, False, 6)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0:{port}/",
        "http://user:pass@127.0.0.1:{port}/",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/",
        "http://[",
        "http://\xff\xfe/",
    ],
)
async def test_redirect_targets_are_checked_like_the_url(fail: Fail, location: str) -> None:
    async with Server(serving(AUDIO)).listening() as other:
        script = redirecting(location.format(port=other.port) if "{" in location else location)
        async with Server(script).listening() as server:
            error = await fail(server.url)

    assert error.code in {FailureCode.SOURCE_BLOCKED, FailureCode.SOURCE_UNAVAILABLE}
    assert error.code == FailureCode.SOURCE_BLOCKED or "\xff" in location
    assert other.asked == []


@pytest.mark.parametrize(
    ("host", "values"),
    [
        ("127.0.0.1", {"webhook_allow_private": "false"}),
        ("localhost", {"webhook_allow_private": "false"}),
        ("[::ffff:127.0.0.1]", {"webhook_allow_private": "false"}),
        ("2130706433", {"webhook_allow_private": "false"}),
        ("127.0.0.1", {"fetch_schemes": ("https",)}),
        ("127.0.0.1", {"webhook_ports": (443,)}),
    ],
)
async def test_a_refused_url_is_never_requested(fail: Fail, host: str, values: dict[str, object]) -> None:
    async with Server(serving(AUDIO)).listening() as server:
        error = await fail(f"http://{host}:{server.port}/", **values)

    assert (error.code, error.transient, server.asked) == (FailureCode.SOURCE_BLOCKED, False, [])


async def test_failure_messages_do_not_contain_the_url(fail: Fail) -> None:
    scripts = [answering(404), stalling(b"nonsense\r\n\r\n"), redirecting("http://10.0.0.1/?signature=s3cret")]
    for script in scripts:
        async with Server(script).listening() as server:
            error = await fail(server.url, fetch_silence_s=1.0)
        assert "s3cret" not in error.message
        assert error.__suppress_context__ or "s3cret" not in str(error.__context__)


async def test_a_completely_stored_source_is_not_fetched_again(
    claim_url: ClaimUrl, fetcher_with: FetcherWith, blobs: BlobStore
) -> None:
    """Its worker was killed before it recorded the facts."""
    async with Server(serving(OTHER)).listening() as server:
        task = await claim_url(server.url)
        await blobs.put(blob_keys.source(task.job_id), AUDIO)
        assert await (await fetcher_with()).fetch(task) == FACTS

    assert server.asked == []


async def test_a_worker_that_lost_its_lease_stores_nothing(
    claim_url: ClaimUrl, fetcher_with: FetcherWith, database: asyncpg.Pool, blobs: BlobStore
) -> None:
    async def taken_over(connection: Connection) -> None:
        await database.execute("UPDATE tasks SET lease_token = lease_token + 1")
        await serving(AUDIO)(connection)

    async with Server(taken_over).listening() as server:
        task = await claim_url(server.url)
        fetcher = await fetcher_with()
        with pytest.raises(TaskError):
            await fetcher.fetch(task)

    with pytest.raises(BlobNotFoundError):
        await blobs.size(blob_keys.source(task.job_id))
    assert (await job_row(database, task.job_id))["source_sha256"] is None


async def test_a_cancelled_fetch_stores_nothing_and_closes_its_connection(
    claim_url: ClaimUrl, fetcher_with: FetcherWith, blobs: BlobStore
) -> None:
    begun = asyncio.Event()

    async def stall(connection: Connection) -> None:
        await connection.send(head(200, f"content-length: {len(AUDIO)}") + AUDIO[:300_000])
        begun.set()
        await connection.closed()

    async with Server(stall).listening() as server:
        task = await claim_url(server.url)
        fetching = asyncio.create_task((await fetcher_with()).fetch(task))
        await begun.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        await server.ended()

    with pytest.raises(BlobNotFoundError):
        await blobs.size(blob_keys.source(task.job_id))
