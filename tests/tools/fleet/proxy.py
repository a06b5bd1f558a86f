"""A small TCP proxy in front of the ingests, on its own host: `python -m tests.tools.fleet.proxy LISTEN SERVER…`.

Connections go to the servers round-robin. A health check runs twice a second per server. A server that fails it gets
no connections and its open ones are reset, so that no client waits for a dead host.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence

PIECE_BYTES = 1 << 16
CHECK_EVERY_S = 0.5
ANSWER_WITHIN_S = 1.5
MISSES = 2  # failed checks in a row that mark a server as down
HEALTH_REQUEST = b"GET /health/live HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"

Address = tuple[str, int]


class Server:
    """One server behind the proxy, with its open connections."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.is_up = False
        self._misses = 0
        self._connections: set[asyncio.Task[None]] = set()

    def note_check(self, *, passed: bool) -> None:
        """Note the result of a health check; reset the connections of a server that is down."""
        self._misses = 0 if passed else self._misses + 1
        if passed or self._misses >= MISSES:
            if self.is_up != passed:
                print(f"{self.address[0]} is {'up' if passed else 'down'}", flush=True)
            self.is_up = passed
        if not self.is_up:
            for connection in self._connections:
                connection.cancel()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward bytes until one side ends. Raise OSError when the server cannot be reached."""
        async with asyncio.timeout(ANSWER_WITHIN_S):
            there, back = await asyncio.open_connection(*self.address)
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await _both_ways(reader, back, there, writer)
        finally:
            self._connections.discard(task)
            back.transport.abort()


class Proxy:
    """Selects servers round-robin; tries the next one when one cannot be reached."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._taken = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for server in self._in_turn():
                with contextlib.suppress(OSError):  # includes TimeoutError
                    await server.forward(reader, writer)
                    break
        except asyncio.CancelledError:  # its server was marked as down
            writer.transport.abort()
        else:
            writer.close()

    def _in_turn(self) -> list[Server]:
        self._taken += 1
        alive = [server for server in self._servers if server.is_up]
        first = self._taken % len(alive) if alive else 0
        return alive[first:] + alive[:first]


async def _both_ways(
    reader: asyncio.StreamReader, back: asyncio.StreamWriter, there: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Forward until the client's request and the server's answer have ended, or either direction broke."""
    async with asyncio.TaskGroup() as group:
        ways = [group.create_task(_pump(reader, back)), group.create_task(_pump(there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if ways[1].done() or any(way.done() and way.result() for way in ways):
            for way in ways:
                way.cancel()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Copy until the end. Return whether the connection broke."""
    try:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        return True
    return False


async def _passes_check(server: Server) -> bool:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(*server.address)
            try:
                writer.write(HEALTH_REQUEST)
                return b" 200 " in await reader.readline()
            finally:
                writer.transport.abort()
    except OSError:
        return False


async def _watch(server: Server) -> None:
    while True:
        server.note_check(passed=await _passes_check(server))
        await asyncio.sleep(CHECK_EVERY_S)


async def serve(listen: Address, servers: Sequence[Server]) -> None:
    """Serve until cancelled."""
    listener = await asyncio.start_server(Proxy(servers).take, *listen, backlog=1024)
    async with listener, asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(_watch(server))


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    asyncio.run(serve(_address(sys.argv[1]), [Server(_address(text)) for text in sys.argv[2:]]))
