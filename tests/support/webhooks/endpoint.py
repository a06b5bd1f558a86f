"""A webhook endpoint on loopback that runs a test's script, byte by byte, and counts its requests."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import msgspec

from tests.support.loopback_server import LoopbackServer

TLS_HANDSHAKE = b"\x16"


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A received request."""

    target: str
    headers: dict[str, str]
    body: bytes


class Endpoint(LoopbackServer):
    """Counts every connection as a hit, reads its request and runs the script."""

    def __init__(self, script: "Script") -> None:
        super().__init__()
        self._script = script
        self.received: list[Received] = []
        self.sent_bytes = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send bytes. Raise ConnectionError when the other side closed the connection."""
        writer.write(data)
        await writer.drain()
        self.sent_bytes += len(data)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await reader.readexactly(1)
        if start == TLS_HANDSHAKE:
            await self.send(writer, status(400))
        else:
            self.received.append(await _read_request(start, reader))
            await self._script(self, reader, writer)


Script = Callable[[Endpoint, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _read_request(start: bytes, reader: asyncio.StreamReader) -> Received:
    head = (start + await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Received(target=first.split(" ")[1], headers=headers, body=body)


def answering(*pieces: bytes) -> Script:
    """Send these bytes and close."""

    async def script(endpoint: Endpoint, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            await endpoint.send(writer, piece)

    return script


def stalling(*pieces: bytes) -> Script:
    """Send these bytes, then nothing, until the other side closes."""

    async def script(endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(*pieces)(endpoint, reader, writer)
        await reader.read()

    return script


def flooding(start: bytes, piece: bytes, *, times: int | None = None) -> Script:
    """Send a piece repeatedly: `times` times, or forever."""

    async def script(endpoint: Endpoint, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await endpoint.send(writer, start)
        pieces = itertools.repeat(piece) if times is None else itertools.repeat(piece, times)
        for one in pieces:
            await endpoint.send(writer, one)

    return script


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    """Return a complete answer."""
    lines = [f"HTTP/1.1 {code} Whatever", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
