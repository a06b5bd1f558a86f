"""An HTTP server on loopback with one file that runs a test's script for each connection."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from tests.support.loopback_server import LoopbackServer

ETAG = 'etag: "one"'


class Asked(msgspec.Struct, frozen=True):
    """A received request."""

    target: str
    headers: dict[str, str]

    @property
    def start(self) -> int:
        """Return the first requested byte."""
        return int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


Script = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One connection whose request was read."""

    def __init__(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked = asked
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes. Raise ConnectionError when the other side closed the connection."""
        self._writer.write(data)
        await self._writer.drain()

    async def closed(self) -> None:
        """Wait until the other side closes."""
        with contextlib.suppress(ConnectionError):
            await self._reader.read()


class Server(LoopbackServer):
    """The n-th connection runs the n-th script; all later ones run the last."""

    def __init__(self, *scripts: Script) -> None:
        super().__init__()
        self._scripts = list(scripts)
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/talk.wav?signature=s3cret"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.asked.append(Asked(first.split(" ")[1], headers))
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        await script(Connection(self.asked[-1], reader, writer))


def head(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *headers, "", ""]).encode()


def answering(status: int, *headers: str, body: bytes = b"", length: int | None = None) -> Script:
    """Send a complete answer, whose declared length may be wrong."""

    async def script(connection: Connection) -> None:
        promised = f"content-length: {len(body) if length is None else length}"
        await connection.send(head(status, promised, *headers) + body)

    return script


def serving(data: bytes, *headers: str, cut_after: int | None = None) -> Script:
    """Answer `Range` correctly; break the connection after `cut_after` bytes."""

    async def script(connection: Connection) -> None:
        start = connection.asked.start
        span = [f"content-range: bytes {start}-{len(data) - 1}/{len(data)}"] if start else []
        rest = data[start:]
        await connection.send(head(206 if start else 200, f"content-length: {len(rest)}", *span, *headers))
        await connection.send(rest[:cut_after])

    return script


def chunked(data: bytes, *, ended: bool = True) -> Script:
    """Send a body of unknown length, in one chunk."""

    async def script(connection: Connection) -> None:
        body = f"{len(data):x}\r\n".encode() + data + b"\r\n" + (b"0\r\n\r\n" if ended else b"")
        await connection.send(head(200, "transfer-encoding: chunked") + body)

    return script


def stalling(*pieces: bytes) -> Script:
    """Send these bytes, then nothing, until the other side closes."""

    async def script(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)
        await connection.closed()

    return script


def flooding(start: bytes, piece: bytes, *, pause_s: float = 0.0) -> Script:
    """Send a piece repeatedly until the other side closes."""

    async def script(connection: Connection) -> None:
        await connection.send(start)
        while True:
            await connection.send(piece)
            await asyncio.sleep(pause_s)

    return script


def redirecting(location: str, status: int = 302) -> Script:
    return answering(status, f"location: {location}")
