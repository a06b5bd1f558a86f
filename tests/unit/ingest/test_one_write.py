"""The head of an answer is sent together with the first part of its body, or alone if there is none."""

import asyncio

from ingest_service.server.http_protocol import OneWrite


class Written(asyncio.Transport):
    """A transport that records its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.calls.append("close")


async def test_head_and_first_body_part_are_one_write() -> None:
    answer = OneWrite(written := Written(), asyncio.get_running_loop())
    answer.write(b"head ")
    answer.write(b"body")
    answer.write(b"more")
    assert written.calls == [b"head body", b"more"]
    await asyncio.sleep(0)
    assert len(written.calls) == 2


async def test_a_head_without_a_body_is_sent_in_the_next_iteration() -> None:
    answer = OneWrite(written := Written(), asyncio.get_running_loop())
    answer.write(b"head")
    assert not written.calls
    await asyncio.sleep(0)
    answer.write(b"an event, later")
    assert written.calls == [b"head", b"an event, later"]


async def test_a_held_head_is_sent_before_the_close() -> None:
    answer = OneWrite(written := Written(), asyncio.get_running_loop())
    answer.write(b"head")
    answer.close()
    assert written.calls == [b"head", "close"]
