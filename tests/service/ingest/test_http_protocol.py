"""Slow, missing and oversized heads, and answers that are not read: each connection is closed in time."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.support.ingest.raw_http import connected, exchange, head, until_closed
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import MIB, wav

LIVE = head(line="GET /health/live HTTP/1.1")
CHUNKED = head("Content-Type: audio/wav", "Transfer-Encoding: chunked")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.server.http_protocol.HEAD_TIMEOUT_S", 0.3)
    monkeypatch.setattr("ingest_service.server.http_protocol.CLOSE_AFTER_S", 0.3)


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("impatient")
async def test_a_connection_without_a_request_is_closed_without_an_answer(ingest: Ingest) -> None:
    assert await exchange(ingest) == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("before", [b"", LIVE], ids=["first", "second"])
async def test_a_head_that_arrives_too_slowly_is_refused(ingest: Ingest, before: bytes) -> None:
    async with connected(ingest) as (reader, writer):
        if before:
            writer.write(before)
            assert await reader.readuntil(b'"alive"}')
        dripping = asyncio.create_task(drip(writer, head("X-Slow: " + "x" * 5000)))
        answer = await until_closed(reader)
        dripping.cancel()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"code":"request_stalled"' in answer


@pytest.mark.usefixtures("impatient")
async def test_empty_lines_do_not_keep_a_connection_open(ingest: Ingest) -> None:
    async with connected(ingest) as (reader, writer):
        writer.write(LIVE)
        assert await reader.readuntil(b'"alive"}')
        dripping = asyncio.create_task(drip(writer, b"\r\n" * 1000))
        assert await until_closed(reader) == b""
        dripping.cancel()


@pytest.mark.usefixtures("impatient")
async def test_a_stalled_head_does_not_prevent_the_answer_to_the_request_before_it(ingest: Ingest) -> None:
    async with ingest.transaction() as connection:  # the upload waits for its row
        await connection.execute("LOCK TABLE jobs")
        async with connected(ingest) as (reader, writer):
            audio = wav()
            writer.write(head("Content-Type: audio/wav", f"Content-Length: {len(audio)}") + audio + LIVE[:20])
            await until(ingest.somebody_waits_for_a_lock)
            assert await exchange(ingest) == b""  # a later connection timed out, so ours has too
            await connection.execute("ROLLBACK; BEGIN")
            answer = await until_closed(reader)
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "request_head",
    [
        head("X-Long: " + "x" * 40_000),
        head(line=f"GET /v1/jobs?cursor={'x' * 40_000} HTTP/1.1"),
        head(*[f"X-{n}: 1" for n in range(200)]),
        head("X-Endless: " + "x" * 100_000)[:-4],
    ],
    ids=["a header", "the line", "many headers", "without an end"],
)
async def test_a_head_that_is_too_large_is_refused(ingest: Ingest, request_head: bytes) -> None:
    answer = await exchange(ingest, request_head)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"head_too_large"' in answer


async def test_a_head_below_the_bounds_is_accepted(ingest: Ingest) -> None:
    query = {"prompt": "🎙️" * 900, "webhook_url": "https://example.com/" + "x" * 1900}
    headers = {"Content-Type": "audio/wav"} | {f"X-{number}": "1" for number in range(80)}
    status, body = await ingest.post(wav(), params=query, headers=headers)
    assert status == 202, body


async def test_trailers_are_not_headers_and_are_bounded(ingest: Ingest) -> None:
    async with connected(ingest) as (reader, writer):
        writer.write(CHUNKED + chunk(wav()) + b"0\r\nContent-Type: text/html\r\nX-Other: 1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 202 ")
    for endless in (b"X: " + b"x" * MIB, b"X: y\r\n" * 20_000):
        assert b"202" not in await exchange(ingest, CHUNKED + chunk(wav()) + b"0\r\n", endless)
    assert await ingest.job_count() == 1


async def test_pipelined_requests_are_answered_in_their_order(ingest: Ingest) -> None:
    other = head(line="GET /v1/nowhere HTTP/1.1")
    async with connected(ingest) as (reader, writer):
        writer.write(LIVE + other + LIVE)
        first = await reader.readuntil(b'"alive"}')
        rest = await reader.readuntil(b'"alive"}')
    assert first.count(b"HTTP/1.1") == 1
    assert (rest.count(b"HTTP/1.1 404"), rest.count(b"HTTP/1.1")) == (1, 2)


async def test_pipelined_requests_are_bounded(ingest: Ingest) -> None:
    answer = await exchange(ingest, LIVE * 5000)
    assert 1 <= answer.count(b"HTTP/1.1 200 OK") <= 20
    assert answer.count(b"HTTP/1.1") == answer.count(b"HTTP/1.1 200 OK")


async def test_an_upgrade_is_ignored_and_its_body_is_refused(ingest: Ingest) -> None:
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ")
    assert (await exchange(ingest, head(*upgrade, line="GET /health/live HTTP/1.1"))).startswith(b"HTTP/1.1 200 ")
    answer = await exchange(ingest, head("Content-Type: audio/wav", "Content-Length: 32044", *upgrade), wav())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"unsupported_upgrade"' in answer


async def test_a_connection_is_closed_if_the_client_does_not_read(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await ingest.submit(wav(40 * MIB))
    monkeypatch.setattr("ingest_service.server.http_protocol.UNREAD_TIMEOUT_S", 0.3)
    async with connected(ingest) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a client that does not read
        writer.write(head(line=f"GET /v1/jobs/{job_id}/audio HTTP/1.1"))

        async def nobody_is_there() -> bool:
            writer.write(b"x")
            return writer.transport.is_closing()

        await until(nobody_is_there)


async def test_a_client_that_reads_with_pauses_gets_the_whole_answer(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = wav(20 * MIB)
    job_id = await ingest.submit(audio)
    monkeypatch.setattr("ingest_service.server.http_protocol.UNREAD_TIMEOUT_S", 2)
    got = 0
    async with connected(ingest) as (reader, writer):
        writer.write(head("Connection: close", line=f"GET /v1/jobs/{job_id}/audio HTTP/1.1"))
        await reader.readuntil(b"\r\n\r\n")
        while piece := await reader.read(1 << 20):
            got += len(piece)
            await asyncio.sleep(0.05)
    assert got == len(audio)


NOT_HTTP = {
    "negative length": (head("Content-Type: audio/wav", "Content-Length: -1"), 400),
    "two lengths": (head("Content-Type: audio/wav", "Content-Length: 5", "Content-Length: 6"), 400),
    "a list of lengths": (head("Content-Type: audio/wav", "Content-Length: 5, 5"), 400),
    "hexadecimal length": (head("Content-Type: audio/wav", "Content-Length: 0x5"), 400),
    "signed length": (head("Content-Type: audio/wav", "Content-Length: +5"), 400),
    "endless length": (head("Content-Type: audio/wav", "Content-Length: " + "9" * 30), 400),
    "both framings": (head("Content-Type: audio/wav", "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    "chunked, not last": (head("Content-Type: audio/wav", "Transfer-Encoding: chunked, gzip"), 400),
    "an unknown coding": (head("Content-Type: audio/wav", "Transfer-Encoding: xchunked"), 400),
    "gzip below chunked": (head("Content-Type: audio/wav", "Transfer-Encoding: gzip, chunked"), 501),
    "a size that is none": (CHUNKED + b"zz\r\n", 400),
    "a negative size": (CHUNKED + b"-5\r\n", 400),
    "an endless size": (CHUNKED + b"f" * 40 + b"\r\n", 400),
    "a chunk that is longer": (CHUNKED + chunk(wav()) + b"3\r\nabcdef\r\n", 400),
    "a NUL in a header": (head("X-A: a\x00b"), 400),
    "a space before the colon": (head("Content-Length : 5"), 400),
    "a header without a name": (head(": x"), 400),
    "a path that is no ASCII": (head(line="GET /v1/jobs/\xff HTTP/1.1"), 400),
    "a tunnel": (head(line="CONNECT example.com:443 HTTP/1.1"), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (head("Host: y"), 400),
    "the same Host twice": (head("Host: x"), 400),
    "a Host with a user": (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    "a Host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a Host with a bad port": (b"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", 400),
    "an empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "two spaces": (head(line="GET  /v1/jobs HTTP/1.1"), 400),
    "two spaces before the version": (head(line="GET /v1/jobs  HTTP/1.1"), 400),
    "a tab": (head(line="GET\t/v1/jobs HTTP/1.1"), 400),
    "no version": (b"GET /v1/jobs\r\n\r\n", 400),
    "HTTP/0.9": (head(line="GET /v1/jobs HTTP/0.9"), 400),
    "HTTP/2.0": (head(line="GET /v1/jobs HTTP/2.0"), 400),
    "RTSP": (head(line="GET /v1/jobs RTSP/1.0"), 400),
    "ICE": (head(line="SOURCE /v1/jobs ICE/1.0"), 400),
    "a coding in HTTP/1.0": (head("Transfer-Encoding: chunked", line="POST /v1/jobs HTTP/1.0"), 400),
    "another host in the target": (head(line="GET http://y/v1/jobs HTTP/1.1"), 400),
    "a user in the target": (head(line="GET http://u@x/v1/jobs HTTP/1.1"), 400),
    "an asterisk": (head(line="GET * HTTP/1.1"), 400),
    "a fragment": (head(line="GET /v1/jobs#x HTTP/1.1"), 400),
    "a backslash": (head(line="GET /v1\\jobs HTTP/1.1"), 400),
    "a wrong percent sign": (head(line="GET /v1/%zz HTTP/1.1"), 400),
    "two types": (head("Content-Type: audio/wav", "Content-Type: application/json"), 400),
    "two offsets": (head("Upload-Offset: 1", "Upload-Offset: 2"), 400),
    "a line folding": (head("X-A: a\r\n b"), 400),
    "a bare line feed": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "a bare carriage return": (head("X-A: a\rb"), 400),
    "an empty length": (head("Content-Length:"), 400),
    "the same length twice": (head("Content-Length: 5", "Content-Length: 5"), 400),
    "chunked twice": (head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
    "a length in a trailer": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400),
    "a chunk with a line feed": (CHUNKED + b"1\na\n0\n\n", 400),
    "TLS": (bytes.fromhex("16030100a5010000a10303") + bytes(160), 400),
}


@pytest.mark.parametrize("what", NOT_HTTP)
async def test_invalid_http_is_refused_with_a_problem_and_stores_nothing(
    ingest: Ingest, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_service.middleware.lingering_close.IDLE_WINDOW_S", 0.2)
    request, status = NOT_HTTP[what]
    answer = await exchange(ingest, request)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    problem: dict[str, Any] = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
    assert problem["status"] == status
    await until_nothing_is_left(ingest)
    assert (await ingest.get("/health/live"))[0] == 200


async def until_nothing_is_left(ingest: Ingest) -> None:
    async def nothing_is_stored() -> bool:
        return ingest.stored_files() == []

    await until(nothing_is_stored)
    await ingest.assert_nothing_is_left()


async def test_a_content_length_that_is_too_small_closes_the_connection_after_the_answer(ingest: Ingest) -> None:
    answer = await exchange(ingest, head("Content-Type: audio/wav", "Content-Length: 3000"), wav())
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert answer.count(b"HTTP/1.1") == 1
    (job,) = await ingest.sql("SELECT source_bytes FROM jobs")
    assert job["source_bytes"] == 3000


async def test_a_content_length_that_is_too_large_stores_nothing(ingest: Ingest) -> None:
    async with connected(ingest) as (reader, writer):
        writer.write(head("Content-Type: audio/wav", "Content-Length: 33000") + wav())
        writer.write_eof()
        assert b" 202 " not in await until_closed(reader)
    await until_nothing_is_left(ingest)


@pytest.mark.parametrize("path", ["/v1/jobs", "/api/upload-audio", "/v1/dead-letters/redrive"])
@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "identity, gzip", "zstd"])
async def test_an_encoded_body_is_refused(ingest: Ingest, path: str, coding: str) -> None:
    headers = {"Content-Type": "audio/wav", "Content-Encoding": coding}
    async with ingest.client.post(ingest.url + path, data=wav(), headers=headers) as answer:
        problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"]) == (415, "unsupported_content_encoding")
        assert answer.headers["Accept-Encoding"] == "identity"
    await ingest.assert_nothing_is_left()


async def test_the_identity_encoding_is_accepted(ingest: Ingest) -> None:
    headers = {"Content-Type": "audio/wav", "Content-Encoding": "identity"}
    assert (await ingest.post(wav(), headers=headers))[0] == 202


async def test_chunk_extensions_are_bounded_together(ingest: Ingest) -> None:
    chunks = [b"1;x=" + b"y" * 4000 + b"\r\nR\r\n"] * 20
    async with connected(ingest) as (reader, writer):
        writer.write(CHUNKED)
        for each in chunks:
            writer.write(each)
            await writer.drain()
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 400 ")


async def test_an_absolute_target_and_http_1_0_are_served(ingest: Ingest) -> None:
    for line in ("GET http://x/health/live HTTP/1.1", "GET /health/live HTTP/1.0"):
        answer = await exchange(ingest, head("Connection: close", line=line))
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_request_line_in_pieces_is_checked(ingest: Ingest) -> None:
    async with connected(ingest) as (reader, writer):
        for piece in (b"\r\n", b"GET ", b" /health/live", b" HTTP/1.1\r\nHost: x\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 400 ")
