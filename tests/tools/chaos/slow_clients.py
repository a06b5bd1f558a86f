"""Clients that hold connections open: one byte a second of a body or of headers, silence, or a reset."""

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tests.tools.chaos.waiting import became_true

KINDS = ("body", "body", "silent", "headers", "reset")
HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: 1000000\r\n\r\n"
BEGINNING = b"RIFF\xff\xff\x0f\x00WAVE"  # recognized as audio, so that the upload continues
RESET = b"\1\0\0\0\0\0\0\0"  # struct linger {1, 0}


class SlowClients:
    """`count` connections of random kinds."""

    def __init__(self, url: str, count: int, rng: random.Random) -> None:
        parts = urlsplit(url)
        self._address = (str(parts.hostname), int(parts.port or 0))
        self._kinds = [rng.choice(KINDS) for _ in range(count)]
        self._open: Counter[str] = Counter()
        self.closed_after_s: list[float] = []  # of the kinds "body" and "silent"

    @property
    def open_bodies(self) -> int:
        """Return the number of uploads that the server has not closed yet."""
        return self._open["body"] + self._open["silent"]

    @property
    def open_headers(self) -> int:
        """Return the number of request heads that the server still waits for."""
        return self._open["headers"]

    def figures(self) -> dict[str, float | int | str | None]:
        """Return the number of connections and of request heads that are still open."""
        return {"slow_connections": len(self._kinds), "slow_headers_open": self.open_headers}

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator["SlowClients"]:
        clients = [asyncio.create_task(self._client(kind)) for kind in self._kinds]
        try:
            yield self
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)

    async def until_closed(self, within_s: float) -> None:
        """Wait until the server has closed all slow uploads and request heads, or until the time is up."""
        await became_true(lambda: not self.open_bodies and not self.open_headers, within_s=within_s)

    async def _client(self, kind: str) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        began = time.monotonic()
        self._open[kind] += 1
        sending = asyncio.create_task(self._send(kind, writer))
        try:
            await self._closed(reader)
            self._open[kind] -= 1
            if kind in ("body", "silent"):
                self.closed_after_s.append(time.monotonic() - began)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.transport.abort()

    async def _closed(self, reader: asyncio.StreamReader) -> None:
        """Wait until the server closes the connection. It may answer first."""
        with contextlib.suppress(OSError):
            while await reader.read(1 << 16):
                pass

    async def _send(self, kind: str, writer: asyncio.StreamWriter) -> None:
        if kind == "headers":
            await self._a_byte_a_second(writer, HEAD[:-4] + b"\r\nX-Slow: " + b"x" * 3600)
            return
        writer.write(HEAD + BEGINNING)
        await writer.drain()
        if kind == "reset":
            await asyncio.sleep(1)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        elif kind == "body":
            await self._a_byte_a_second(writer, bytes(3600))

    async def _a_byte_a_second(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)
