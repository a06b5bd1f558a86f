"""Bodies that arrive too slowly are refused; pauses and a slow blob store are not the client's fault."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from litestar.types import Receive

from ingest_service.errors import RefusedError
from ingest_service.uploads.body import Pace
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import MIB, wav

WINDOW_S = 0.2
HEAD = "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: {type}\r\nContent-Length: 1000000\r\n\r\n"


Step = float | bytes


def client(*script: Step) -> Receive:
    """A scripted `receive`: numbers are seconds of silence, bytes are sent; after the script the client is silent."""
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    sending: list[asyncio.Task[None]] = []

    async def send() -> None:
        for step in script:
            if isinstance(step, bytes):
                arrived.put_nowait(step)
            else:
                await asyncio.sleep(step)

    async def receive() -> Any:
        if not sending:
            sending.append(asyncio.create_task(send()))
        return {"type": "http.request", "body": await arrived.get(), "more_body": True}

    return receive


async def received_until_refused(pace: Pace, receive: Receive, store_s: float = 0) -> int:
    """The bytes received before the refusal; storing each piece takes `store_s`."""
    pieces: list[bytes] = []
    with pytest.raises(RefusedError, match="upload_stalled"):
        await asyncio.wait_for(receive_all(pace, receive, store_s, pieces), 20)
    return sum(map(len, pieces))


async def receive_all(pace: Pace, receive: Receive, store_s: float, pieces: list[bytes]) -> None:
    while True:
        pieces.append((await pace.receive(receive))["body"])
        await asyncio.sleep(store_s)


async def test_a_silent_client_is_refused() -> None:
    assert await received_until_refused(Pace(WINDOW_S, 1000), client()) == 0


async def test_a_trickle_is_refused() -> None:
    script: list[Step] = [0.02, b"x"] * 1000
    assert 0 < await received_until_refused(Pace(WINDOW_S, 100), client(*script)) < 100


async def test_a_trickle_after_a_burst_is_refused() -> None:
    flood: list[Step] = [bytes(MIB)] * 5
    trickle: list[Step] = [0.02, b"x"] * 1000
    total = await received_until_refused(Pace(WINDOW_S, 100), client(*flood, *trickle))
    assert 5 * MIB < total < 5 * MIB + 100


async def test_a_steady_client_is_accepted_with_pieces_of_any_size() -> None:
    script: list[Step] = [0.01, bytes(500)] * 100
    assert await received_until_refused(Pace(WINDOW_S, 1000), client(*script)) == 100 * 500


async def test_a_pause_shorter_than_the_window_is_accepted() -> None:
    script: list[Step] = [bytes(10_000), WINDOW_S / 2] * 5
    assert await received_until_refused(Pace(WINDOW_S, 1000), client(*script)) == 5 * 10_000


async def test_the_time_of_the_store_does_not_count() -> None:
    script: list[Step] = [b"x"] * 10
    assert await received_until_refused(Pace(0.1, 1000), client(*script), store_s=0.05) == 10


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.uploads.body.WINDOW_S", 0.4)
    monkeypatch.setattr("ingest_service.middleware.lingering_close.IDLE_WINDOW_S", 0.2)


@asynccontextmanager
async def trickling(ingest: Ingest, content_type: str, at_once: bytes, slowly: bytes) -> AsyncIterator[socket.socket]:
    """A client that sends the head and a part of the body, then the rest byte by byte."""
    loop = asyncio.get_running_loop()
    with socket.create_connection(ingest.address) as connection:
        connection.setblocking(False)  # noqa: FBT003 - the library's signature
        await loop.sock_sendall(connection, HEAD.format(type=content_type).encode() + at_once)
        sending = asyncio.create_task(send_slowly(connection, slowly))
        try:
            yield connection
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def send_slowly(connection: socket.socket, body: bytes) -> None:
    for byte in body:
        await asyncio.get_running_loop().sock_sendall(connection, bytes([byte]))
        await asyncio.sleep(0.02)


async def answer_before_the_end(connection: socket.socket) -> bytes:
    """The answer, once the server has closed the connection; a late byte causes a reset."""
    answer = bytearray()
    async with asyncio.timeout(30):
        with suppress(ConnectionResetError):
            while piece := await asyncio.get_running_loop().sock_recv(connection, MIB):
                answer += piece
    return bytes(answer)


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("content_type", ["audio/wav", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("sent_before", [0, 20_000])
async def test_a_slow_upload_gets_a_408_and_leaves_nothing(ingest: Ingest, content_type: str, sent_before: int) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="audio_file"; filename="x"\r\n\r\n'
    body = (form if "form" in content_type else b"") + wav(40_000)
    async with trickling(ingest, content_type, body[:sent_before], body[sent_before:]) as connection:
        answer = await answer_before_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"upload_stalled"' in answer
    await ingest.assert_nothing_is_left()


@pytest.mark.usefixtures("short_timeouts")
async def test_a_refused_client_that_continues_slowly_is_disconnected(ingest: Ingest) -> None:
    async with trickling(ingest, "text/plain", b"", bytes(10_000)) as connection:
        assert (await answer_before_the_end(connection)).startswith(b"HTTP/1.1 415 ")


@pytest.mark.usefixtures("short_timeouts")
async def test_slow_clients_do_not_block_others(ingest: Ingest) -> None:
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(trickling(ingest, "audio/wav", b"", wav(40_000))) for _ in range(100)]
        await asyncio.gather(*(ingest.submit(wav()) for _ in range(20)))
        answers = await asyncio.gather(*(answer_before_the_end(connection) for connection in slow))
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}

    async def only_the_good_are_stored() -> bool:
        return len(ingest.stored_files()) == 20 == await ingest.job_count()

    await until(only_the_good_are_stored)
