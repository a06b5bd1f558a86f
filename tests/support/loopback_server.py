"""A TCP server on loopback of which a test controls every byte."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Self

SEND_BUFFER_BYTES = 32 << 10  # small: sent bytes are received bytes


class LoopbackServer:
    """Runs `_answer` for each connection, and closes the connection after it."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()
        self.port = 0
        self.hits = 0  # connections

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.port = listener.getsockname()[1]
        server = await asyncio.start_server(self._serve, sock=listener)
        try:
            yield self
        finally:
            server.close()
            await self.ended()

    async def ended(self) -> None:
        """Wait until all connections ended, by their scripts or by the other side."""
        async with asyncio.timeout(10):
            await asyncio.gather(*self._under_way)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        task = asyncio.create_task(self._converse(reader, writer))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()
