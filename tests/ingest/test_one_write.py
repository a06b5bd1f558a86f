"""The head of an answer goes out with what follows it; alone, when nothing does."""

import asyncio

from ingest_service.server.http_protocol import OneWrite


class Written(asyncio.Transport):
    """A transport that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append("close")


async def test_head_and_body_are_one_write_and_the_rest_goes_at_once() -> None:
    answer = OneWrite(written := Written(), asyncio.get_running_loop())
    answer.write(b"head ")
    answer.write(b"body")
    answer.write(b"more")
    assert written.told == [b"head body", b"more"]
    await asyncio.sleep(0)
    assert len(written.told) == 2


async def test_a_head_that_nothing_follows_goes_out_when_the_loop_turns() -> None:
    answer = OneWrite(written := Written(), asyncio.get_running_loop())
    answer.write(b"head")
    assert not written.told
    await asyncio.sleep(0)
    answer.write(b"an event, later")
    assert written.told == [b"head", b"an event, later"]


async def test_what_is_held_goes_out_before_the_end() -> None:
    answer = OneWrite(written := Written(), asyncio.get_running_loop())
    answer.write(b"head")
    answer.close()
    assert written.told == [b"head", "close"]
