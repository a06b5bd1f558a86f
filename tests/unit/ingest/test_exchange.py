"""An answer is written as the application sends it: valid, framed, and its head together with the first body part."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from ingest_service.server.exchange import Exchange, field_lines

TEN = (b"content-length", b"10")


class Written(asyncio.Transport):
    """A transport that records its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.calls.append("close")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_closing(self) -> bool:
        return False


def exchange(written: Written, *, method: str = "GET", keep_alive: bool = True, expects: bool = False) -> Exchange:
    return Exchange(
        scope={"method": method},
        transport=written,
        flow=FlowControl(written),
        logger=None,
        access_logger=None,
        access_log=False,
        default_headers=[(b"date", b"now")],
        message_event=asyncio.Event(),
        expect_100_continue=expects,
        keep_alive=keep_alive,
        on_response=lambda: written.calls.append("end"),
    )


async def begin(answer: Exchange, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await answer.send({"type": "http.response.start", "status": status, "headers": headers})


async def body(answer: Exchange, data: bytes, *, more: bool = False) -> None:
    await answer.send({"type": "http.response.body", "body": data, "more_body": more})


async def test_head_and_first_body_part_are_one_write() -> None:
    answer = exchange(written := Written())
    await begin(answer, TEN)
    await body(answer, b"12345", more=True)
    await body(answer, b"67890")
    head = b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 10\r\n\r\n"
    assert written.calls == [head + b"12345", b"67890", "end"]
    await asyncio.sleep(0)
    assert len(written.calls) == 3


async def test_a_head_without_a_body_is_sent_in_the_next_iteration() -> None:
    answer = exchange(written := Written())
    await begin(answer)
    assert not written.calls
    await asyncio.sleep(0)
    await body(answer, b"an event", more=True)
    await body(answer, b"")
    head = b"HTTP/1.1 200 OK\r\ndate: now\r\ntransfer-encoding: chunked\r\n\r\n"
    assert written.calls == [head, b"8\r\nan event\r\n", b"0\r\n\r\n", "end"]


@pytest.mark.parametrize("sent", [[], [(b"Connection", b"Keep-Alive, Close")]])
@pytest.mark.parametrize("keep_alive", [True, False])
async def test_the_connection_closes_after_an_answer_that_says_so(
    sent: Sequence[tuple[bytes, bytes]], *, keep_alive: bool
) -> None:
    answer = exchange(written := Written(), keep_alive=keep_alive)
    await begin(answer, (b"content-length", b"0"), *sent)
    await body(answer, b"")
    closes = bool(sent) or not keep_alive
    assert (b"close" in written.calls[0].lower()) is closes
    assert written.calls[1:] == (["close", "end"] if closes else ["end"])


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_an_answer_without_a_body_has_only_a_head(method: str, status: int) -> None:
    answer = exchange(written := Written(), method=method)
    await begin(answer, *([TEN] if method == "HEAD" else []), status=status)
    await body(answer, b"1234567890" if method == "HEAD" else b"")
    (head, end) = written.calls
    assert isinstance(head, bytes)
    assert head.endswith(b"\r\n\r\n")
    assert b"chunked" not in head
    assert end == "end"


@pytest.mark.parametrize("sent", [b"123456789", b"12345678901"])
async def test_a_body_of_another_length_is_refused(sent: bytes) -> None:
    answer = exchange(written := Written())
    await begin(answer, TEN)
    with pytest.raises(RuntimeError):
        await body(answer, sent)
    assert not written.calls


@pytest.mark.parametrize(
    "header",
    [
        (b"a b", b"c"),
        (b"", b"c"),
        (b"a:", b"c"),
        (b"a\r\nb", b"c"),
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\nc"),
        (b"a", b"b\rc"),
        (b"a", b"\x00"),
        (b"a", b"\x7f"),
    ],
)
def test_an_invalid_header_is_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(RuntimeError):
        field_lines([TEN, header])
    assert field_lines([TEN, (b"x-y!", b"a:\t\xff b")]) == b"content-length: 10\r\nx-y!: a:\t\xff b\r\n"


@pytest.mark.parametrize("messages", [["body"], ["start", "start"], ["start", "body", "body"]])
async def test_messages_out_of_order_are_refused(messages: list[str]) -> None:
    answer = exchange(Written())

    async def send_all() -> None:
        for kind in messages:
            message: dict[str, Any] = {"type": f"http.response.{kind}", "status": 204, "headers": []}
            await answer.send(message)

    with pytest.raises(RuntimeError, match="out of order"):
        await send_all()


async def test_pieces_that_arrived_are_received_together_and_reading_pauses_meanwhile() -> None:
    request = exchange(written := Written(), expects=True)
    request.add(b"a" * 40_000)
    request.add(b"b" * 40_000)
    assert written.calls == ["pause"]
    message = await request.receive()
    assert (len(message["body"]), message["more_body"]) == (80_000, True)
    assert written.calls == ["pause", b"HTTP/1.1 100 Continue\r\n\r\n", "resume"]
    request.add(b"c")
    request.more_body = False
    assert await request.receive() == {"type": "http.request", "body": b"c", "more_body": False}
    waiting = asyncio.ensure_future(request.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    request.disconnected = True
    request.message_event.set()
    assert await waiting == {"type": "http.disconnect"}
