"""A TCP proxy between the services and one server. It can pass, refuse, freeze, or cut connections at a command.

A cut resets the connection when the client sends the command: either before the server gets it, or after the server
has executed it and before the client gets the answer. In both cases the client cannot know the outcome.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from enum import StrEnum

import msgspec

from deploy.local.ports import LOOPBACK

SCRIPT = b"$7\r\nEVALSHA\r\n"  # enqueues and takes tasks
COMMIT = b"COMMIT\0"  # as both services end their transactions
READ_BYTES = 1 << 16
CARRIED_OUT_WITHIN_S = 1.0


class Mode(StrEnum):
    PASS = "pass"  # noqa: S105 - no password
    REFUSE = "refuse"  # connections are reset, old ones and new
    FREEZE = "freeze"  # nothing moves, nothing is closed


class Cuts(msgspec.Struct, kw_only=True):
    """Cuts at a command: `left` more, each with a probability of `chance`, so that some commands pass."""

    command: bytes
    left: int
    chance: float
    rng: random.Random
    done: int = 0

    def takes(self, data: bytes) -> bool:
        if self.left <= 0 or self.command not in data or self.rng.random() > self.chance:
            return False
        self.left -= 1
        self.done += 1
        return True


class Proxy:
    """Listens on a loopback port and forwards to another."""

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self.cuts: Cuts | None = None
        self._upstream_port = upstream_port
        self._mode = Mode.PASS
        self._moving = asyncio.Event()
        self._moving.set()
        self._connections: set[_Connection] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._serve, LOOPBACK, 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.set(Mode.PASS)
            server.close()
            self.cut_all()

    def set(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.FREEZE:
            self._moving.clear()
        else:
            self._moving.set()
        if mode is Mode.REFUSE:
            self.cut_all()

    def cut_all(self) -> None:
        for connection in list(self._connections):
            connection.cut()

    def cut_at(self, command: bytes, times: int, chance: float, rng: random.Random) -> Cuts:
        """Start to cut. The returned object counts the cuts."""
        self.cuts = Cuts(command=command, left=times, chance=chance, rng=rng)
        return self.cuts

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.REFUSE:
            _reset(writer)
            return
        try:
            await self._moving.wait()
            upstream = await asyncio.open_connection(LOOPBACK, self._upstream_port)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(self, (reader, writer), upstream)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def moving(self) -> None:
        await self._moving.wait()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """A connection of a client and its connection to the server."""

    def __init__(self, proxy: Proxy, client: Streams, upstream: Streams) -> None:
        self._proxy = proxy
        self._client = client
        self._upstream = upstream
        self._answered = asyncio.Event()
        self._is_muted = False  # answers of the server are read and dropped

    async def run(self) -> None:
        """Forward until either side ends, then close both."""
        pumps = [asyncio.create_task(self._pump_commands()), asyncio.create_task(self._pump_answers())]
        with contextlib.suppress(OSError):
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self.cut()

    def cut(self) -> None:
        _reset(self._client[1])
        _reset(self._upstream[1])

    async def _pump_commands(self) -> None:
        while data := await self._client[0].read(READ_BYTES):
            await self._proxy.moving()
            cuts = self._proxy.cuts
            if cuts is not None and cuts.takes(data):
                await self._cut_at(data, cuts)
                return
            self._upstream[1].write(data)
            await self._upstream[1].drain()

    async def _pump_answers(self) -> None:
        while data := await self._upstream[0].read(READ_BYTES):
            await self._proxy.moving()
            if self._is_muted:
                self._answered.set()
                continue
            self._client[1].write(data)
            await self._client[1].drain()

    async def _cut_at(self, data: bytes, cuts: Cuts) -> None:
        if cuts.rng.random() < 0.5:
            self._upstream[1].write(data[: data.index(cuts.command)])
            await self._upstream[1].drain()
            return
        self._is_muted = True
        self._upstream[1].write(data)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), CARRIED_OUT_WITHIN_S)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Send a TCP reset, as when a connection breaks."""
    with contextlib.suppress(OSError, AttributeError):
        no_linger = b"\1\0\0\0\0\0\0\0"  # struct linger {1, 0}
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
    writer.transport.abort()
