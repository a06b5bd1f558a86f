"""Receives the hints that jobs have changed: a connection to each Redis, open only while a channel there is watched.

Each watched job has a channel of its own, and so has each tenant whose jobs are all watched, so that a process does not
read the hints that others watch. Redis confirms each subscription. A confirmation counts as an empty hint: what changed
before it was not received. So after a lost connection everything watched is read again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

from redis.asyncio import Redis

from shared.connections.redis_shards import RedisShards
from shared.run_beside import run_beside, run_until_first_ends
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

HEARTBEAT_S = 1.0
DEAD_AFTER_S = 3.0  # without an answer to a heartbeat: a frozen server, or a dead network
RECONNECT_AFTER_S = 0.5
BATCH = 1000  # channels in one command


class HintReceivers:
    """The subscriptions of one process: a receiver for each Redis."""

    def __init__(self, shards: RedisShards, on_hint: Callable[[str, bytes], None], on_loss: Callable[[], None]) -> None:
        """`on_hint` gets the channel and the message; `on_loss` is called when hints may get lost from now on."""
        self._receivers = shards.map(lambda shard: HintReceiver(shard.redis, on_hint, on_loss))

    @property
    def is_healthy(self) -> bool:
        """Whether the hints of all watched channels arrive. False while none is watched."""
        used = [receiver for receiver in self._receivers if receiver.is_used]
        return bool(used) and all(receiver.is_healthy for receiver in used)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Receive hints during the block. Connects in the background."""
        async with self._receivers.opened(HintReceiver.running):
            yield

    def watching(self, tenant: str, channel: str) -> AbstractContextManager[None]:
        """Receive the hints of a tenant's channel. The first comes as soon as no later one can be missed."""
        return self._receivers.of(tenant).watching(channel)


class HintReceiver:
    """The subscriptions of one process in one Redis."""

    def __init__(self, redis: Redis, on_hint: Callable[[str, bytes], None], on_loss: Callable[[], None]) -> None:
        self.is_healthy = False  # hints of all watched channels arrive, or their confirmations will
        self._redis = redis
        self._on_hint = on_hint
        self._on_loss = on_loss
        self._watched: Counter[str] = Counter()
        self._confirmed: set[str] = set()
        self._to_change: dict[str, None] = {}  # to subscribe or unsubscribe
        self._wake = asyncio.Event()
        self._outages = Outages(Log(__name__), "job_hints_disconnected", "job_hints_reconnected")

    @property
    def is_used(self) -> bool:
        return bool(self._watched)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Receive hints during the block. Connects in the background."""
        async with run_beside(self._run_forever()):
            yield

    @contextmanager
    def watching(self, channel: str) -> Iterator[None]:
        """Receive the hints of a channel during the block. The first comes as soon as no later one can be missed."""
        self._watched[channel] += 1
        if channel in self._confirmed:
            self._on_hint(channel, b"")
        self._change(channel)
        try:
            yield
        finally:
            self._watched[channel] -= 1
            if not self._watched[channel]:
                del self._watched[channel]
                self._change(channel)

    def _change(self, channel: str) -> None:
        self._to_change[channel] = None
        self._wake.set()

    async def _run_forever(self) -> None:
        while True:
            while not self._watched:
                await self._wake.wait()
                self._wake.clear()
            try:
                await self._receive()
            except Exception as error:  # noqa: BLE001 - the receiver must reconnect after any error
                self._outages.failed(error, channels=len(self._watched))
                await asyncio.sleep(RECONNECT_AFTER_S)

    async def _receive(self) -> None:
        """Receive on one connection, until no channel is watched. Raise the client's errors, and TimeoutError."""
        self._to_change = dict.fromkeys(self._watched)
        pubsub = self._redis.pubsub()
        try:
            await self._send_changes(pubsub)  # before the first read, which needs a connection
            await run_until_first_ends(
                self._send_until_unwatched(pubsub), self._read_forever(pubsub), _beat_forever(pubsub)
            )
        finally:
            self.is_healthy = False
            self._confirmed.clear()
            self._on_loss()
            await pubsub.aclose()  # type: ignore[no-untyped-call] # redis gives it no types

    async def _send_until_unwatched(self, pubsub: Any) -> None:
        while self._watched:
            await self._wake.wait()
            self._wake.clear()
            await self._send_changes(pubsub)

    async def _send_changes(self, pubsub: Any) -> None:
        """Subscribe to newly watched channels, and unsubscribe from the others, in few commands."""
        changed, self._to_change = list(self._to_change), {}
        for first in range(0, len(changed), BATCH):
            batch = changed[first : first + BATCH]
            if added := [channel for channel in batch if channel in self._watched]:
                await pubsub.subscribe(*added)
            if gone := [channel for channel in batch if channel not in self._watched]:
                self._confirmed.difference_update(gone)
                await pubsub.unsubscribe(*gone)

    async def _read_forever(self, pubsub: Any) -> None:
        while True:
            message = await pubsub.get_message(timeout=DEAD_AFTER_S)
            if message is None:
                raise TimeoutError("Redis sends nothing")
            if not self.is_healthy:
                self.is_healthy = True
                self._outages.worked()
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        channel = (message["channel"] or b"").decode()
        if channel not in self._watched:
            return
        if message["type"] == "subscribe":
            self._confirmed.add(channel)
            self._on_hint(channel, b"")
        if message["type"] == "message":
            self._on_hint(channel, message["data"])


async def _beat_forever(pubsub: Any) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        await pubsub.ping()
