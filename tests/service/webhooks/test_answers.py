"""Answers of webhook endpoints and the outcome of the attempt, over real connections to a faulty endpoint."""

import asyncio
import datetime as dt
import email.utils
from contextlib import AsyncExitStack

import asyncpg
import pytest
from standardwebhooks import Webhook

from processor_service.webhooks.deliver import deliver
from processor_service.webhooks.send import open_webhook_session
from shared.blobs.blob_store import BlobStore
from shared.schemas.failures import Failure, FailureCode
from tests.service.webhooks.conftest import SECRET, AttemptAt, ClaimDelivery, delivered, not_delivered, settings_with
from tests.support.webhooks.endpoint import Endpoint, Script, answering, flooding, stalling, status

LITTLE = 512 << 10  # 64 KiB read, plus the socket buffers of both sides


async def _failure(attempt_at: AttemptAt, script: Script, *, timeout_s: float = 5.0) -> Failure:
    async with Endpoint(script).listening() as endpoint:
        return not_delivered(await attempt_at(endpoint.url, webhook_timeout_s=timeout_s)).failure


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
async def test_a_2xx_answer_is_a_delivery(attempt_at: AttemptAt, code: int) -> None:
    async with Endpoint(answering(status(code))).listening() as endpoint:
        attempt = delivered(await attempt_at(endpoint.url)).attempt

    assert (attempt.status, attempt.error, attempt.answer) == (code, None, "")


async def test_the_event_arrives_as_it_was_stored_and_verifies(attempt_at: AttemptAt) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        delivered(await attempt_at(endpoint.url + "?token=1&x=%2B"))

    (request,) = endpoint.received
    assert request.target == "/hook?token=1&x=%2B"
    assert '{"my":  "größe"}' in request.body.decode()
    event = Webhook(SECRET).verify(request.body, request.headers)
    assert event["type"] == "job.completed"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "Headrace/1"


@pytest.mark.parametrize("target", ["/%7E%40%2F%zz?x=%7e&y=%2F", "/a/../b//./c;d?{e}", "//x", "/?", "/(a)'!*,$&+=:@"])
async def test_the_url_is_called_as_it_was_written(attempt_at: AttemptAt, target: str) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        written = endpoint.url.partition("/hook")[0].replace("http://", "HTTP://") + target
        delivered(await attempt_at(written))

    assert endpoint.received[0].target == target.removesuffix("?")


@pytest.mark.parametrize("code", [300, 301, 400, 401, 404, 422, 500, 502, 503, 599])
async def test_other_statuses_are_transient(attempt_at: AttemptAt, code: int) -> None:
    failure = await _failure(attempt_at, answering(status(code)))

    assert (failure.code, failure.transient, failure.retry_after_s) == (FailureCode.WEBHOOK_REFUSED, True, None)
    assert str(code) in failure.message


async def test_gone_is_permanent(attempt_at: AttemptAt) -> None:
    failure = await _failure(attempt_at, answering(status(410, "retry-after: 5")))

    assert (failure.code, failure.transient) == (FailureCode.WEBHOOK_REFUSED, False)
    assert failure.message == "The webhook endpoint is gone (410)."


@pytest.mark.parametrize("code", [429, 503, 500])
async def test_retry_after_in_seconds_is_obeyed(attempt_at: AttemptAt, code: int) -> None:
    failure = await _failure(attempt_at, answering(status(code, "Retry-After: 120")))

    assert failure.retry_after_s == 120


async def test_retry_after_as_a_date_is_obeyed(attempt_at: AttemptAt) -> None:
    when = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), usegmt=True)

    failure = await _failure(attempt_at, answering(status(429, f"Retry-After: {when}")))

    assert failure.retry_after_s is not None
    assert 3000 < failure.retry_after_s <= 3600


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(attempt_at: AttemptAt, code: int) -> None:
    async with AsyncExitStack() as stack:
        inside = await stack.enter_async_context(Endpoint(answering(status(200))).listening())
        redirecting = answering(status(code, f"Location: {inside.url}"))
        endpoint = await stack.enter_async_context(Endpoint(redirecting).listening())
        attempt = not_delivered(await attempt_at(endpoint.url)).attempt

    assert (attempt.status, inside.hits, endpoint.hits) == (code, 0, 1)


async def test_a_redirect_to_metadata_is_not_followed(attempt_at: AttemptAt) -> None:
    failure = await _failure(attempt_at, answering(status(302, "Location: http://169.254.169.254/latest/meta-data/")))

    assert (failure.code, failure.transient) == (FailureCode.WEBHOOK_REFUSED, True)


async def test_cookies_are_not_kept_between_attempts(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, blobs: BlobStore
) -> None:
    settings = settings_with()
    async with (
        Endpoint(answering(status(200, "Set-Cookie: a=b"))).listening() as endpoint,
        open_webhook_session(settings) as http,
    ):
        for _ in range(2):
            task = await claim_delivery(f"http://localhost:{endpoint.port}/")
            delivered(await deliver(task, database, http, settings, blobs))

    assert [request.headers.get("cookie") for request in endpoint.received] == [None, None]


async def test_the_start_of_the_answer_is_stored(attempt_at: AttemptAt) -> None:
    async with Endpoint(answering(status(500, body=b"No such hook.\n" * 100))).listening() as endpoint:
        attempt = not_delivered(await attempt_at(endpoint.url)).attempt

    assert attempt.answer == ("No such hook.\n" * 100)[:500]


async def test_unprintable_characters_of_an_answer_are_replaced(attempt_at: AttemptAt) -> None:
    body = "a\x00b\x1b[31mc\x9bd\u202ee\tü\n".encode() + b"\xff\xfe"
    async with Endpoint(answering(status(200, body=body))).listening() as endpoint:
        attempt = delivered(await attempt_at(endpoint.url)).attempt

    assert attempt.answer == "a\ufffdb\ufffd[31mc\ufffdd\ufffde\tü\n\ufffd\ufffd"


async def test_a_compressed_answer_is_not_unpacked(attempt_at: AttemptAt) -> None:
    async with Endpoint(answering(status(200, "Content-Encoding: gzip", body=b"no gzip"))).listening() as endpoint:
        attempt = delivered(await attempt_at(endpoint.url)).attempt

    assert attempt.answer == "no gzip"
    assert endpoint.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("start", "piece", "times"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", b"x" * 65536, 160, id="ten megabytes"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1024, None, id="endless"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", None, id="tiny chunks"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 1024, None, id="one chunk's name"
        ),
    ],
)
async def test_a_long_answer_is_cut_off(attempt_at: AttemptAt, start: bytes, piece: bytes, times: int | None) -> None:
    async with Endpoint(flooding(start, piece, times=times)).listening() as endpoint:
        delivered(await attempt_at(endpoint.url, webhook_timeout_s=60))

    assert endpoint.sent_bytes < LITTLE


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"x-flood: " + b"y" * 1000 + b"\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx-flood: ", b"y" * 1024, id="one header"),
        pytest.param(b"HTTP/1.1 200 ", b"y" * 1024, id="status line"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answers"),
        pytest.param(b"", b"\r\n" * 100, id="empty lines"),
        pytest.param(b"", b"\x00\xff\x16\x03" * 100, id="garbage"),
    ],
)
async def test_endless_data_before_an_answer_is_cut_off(attempt_at: AttemptAt, start: bytes, piece: bytes) -> None:
    async with Endpoint(flooding(start, piece)).listening() as endpoint:
        failure = not_delivered(await attempt_at(endpoint.url, webhook_timeout_s=60)).failure

    assert (failure.code, failure.transient) == (FailureCode.WEBHOOK_REFUSED, True)
    assert endpoint.sent_bytes < LITTLE


async def test_an_endpoint_that_hangs_times_out(attempt_at: AttemptAt) -> None:
    failure = await _failure(attempt_at, stalling(), timeout_s=0.2)

    assert (failure.transient, failure.message) == (True, "The webhook endpoint did not answer in time.")


async def test_an_incomplete_header_is_no_answer(attempt_at: AttemptAt) -> None:
    failure = await _failure(attempt_at, stalling(b"HTTP/1.1 200 OK\r\nx: "), timeout_s=0.2)

    assert failure.message == "The webhook endpoint did not answer in time."


async def test_the_status_counts_although_the_body_stalls(attempt_at: AttemptAt) -> None:
    script = stalling(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nso far")
    async with Endpoint(script).listening() as endpoint:
        attempt = delivered(await attempt_at(endpoint.url, webhook_timeout_s=0.2)).attempt

    assert attempt.answer == "so far"


@pytest.mark.parametrize("head", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n6\r\n"])
async def test_the_status_counts_although_the_body_breaks_off(attempt_at: AttemptAt, head: bytes) -> None:
    async with Endpoint(answering(b"HTTP/1.1 200 OK\r\n" + head + b"so far")).listening() as endpoint:
        attempt = delivered(await attempt_at(endpoint.url)).attempt

    assert attempt.answer == "so far"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (answering(), "The webhook endpoint closed the connection before its answer was complete."),
        (
            answering(b"HTTP/1.1 200 OK\r\nx"),
            "The webhook endpoint closed the connection before its answer was complete.",
        ),
        (answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "The webhook endpoint did not answer with valid HTTP."),
        (answering(b"HTTP/1.1 OK\r\n\r\n"), "The webhook endpoint did not answer with valid HTTP."),
        (answering(b"\x00" * 100), "The webhook endpoint did not answer with valid HTTP."),
    ],
)
async def test_a_missing_answer_is_described(attempt_at: AttemptAt, script: Script, message: str) -> None:
    failure = await _failure(attempt_at, script)

    assert (failure.code, failure.transient, failure.message) == (FailureCode.WEBHOOK_REFUSED, True, message)


async def test_a_refused_connection_is_transient(attempt_at: AttemptAt) -> None:
    async with Endpoint(answering()).listening() as endpoint:
        url = endpoint.url

    failure = not_delivered(await attempt_at(url)).failure

    assert (failure.transient, failure.message) == (True, "The webhook endpoint could not be reached.")


async def test_https_to_a_server_without_tls_fails(attempt_at: AttemptAt) -> None:
    async with Endpoint(answering(status(200))).listening() as endpoint:
        failure = not_delivered(await attempt_at(endpoint.url.replace("http:", "https:"))).failure

    assert (failure.transient, failure.message) == (True, "The webhook endpoint failed the TLS verification.")
    assert endpoint.received == []


async def test_an_unknown_host_is_transient(attempt_at: AttemptAt) -> None:
    failure = not_delivered(await attempt_at("http://unknown.invalid/hook")).failure

    assert (failure.transient, failure.message) == (
        True,
        "The webhook endpoint has a host name that could not be resolved.",
    )


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "2130706433", "127.1", "x:0x1", "x:99999", "x:0"])
async def test_a_host_that_can_never_be_called_is_permanent(attempt_at: AttemptAt, host: str) -> None:
    """Jobs of earlier versions may have such a URL."""
    failure = not_delivered(await attempt_at(f"http://{host}/hook")).failure

    assert (failure.code, failure.transient) == (FailureCode.WEBHOOK_BLOCKED, False)


async def test_a_cancelled_attempt_closes_its_connection(attempt_at: AttemptAt) -> None:
    reached = asyncio.Event()

    async def hang(_: Endpoint, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()

    async with Endpoint(hang).listening() as endpoint:
        attempt = asyncio.create_task(attempt_at(endpoint.url))
        await asyncio.wait_for(reached.wait(), 5)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await endpoint.ended()
