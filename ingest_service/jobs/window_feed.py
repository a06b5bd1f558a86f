"""Reads the window feeds of all streamed jobs of a process with one connection to Redis.

A client that does not read holds a bounded number of windows: its feed is read further when it has room.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.run_beside import run_beside
from shared.schemas.windows import Window
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages
from shared.window_feed import START, WindowOrder, delete_windows, read_windows

log = Log(__name__)

BLOCK_MS = 500  # a new reader's feed is included after this time at the latest
PAUSE_S = 0.05  # after windows were read: a read costs 3 ms for a thousand feeds
RETRY_S = 1.0
ENTRIES_AT_ONCE = 100  # of a job
ROOM = 100  # windows that a reader may hold before its feed is paused


class WindowReader:
    """One client's reading of the feed of one job, from its start."""

    def __init__(self, drained: asyncio.Event) -> None:
        self.last_id = START
        self._drained = drained
        self._order = WindowOrder()
        self._windows: deque[Window] = deque()
        self._has_windows = asyncio.Event()

    @property
    def held(self) -> int:
        """Return how many windows wait for the client."""
        return len(self._windows)

    @property
    def has_room(self) -> bool:
        return self.held < ROOM

    async def next(self) -> Window:
        """Wait for the next window in order of time, and return it. Never ends by itself."""
        await self._has_windows.wait()
        window = self._windows.popleft()
        if not self._windows:
            self._has_windows.clear()
            self._drained.set()
        return window

    def add(self, entries: Sequence[tuple[bytes, Window]]) -> None:
        """Add the entries of the feed that this reader has not read."""
        for entry_id, window in entries:
            if _number(entry_id) > _number(self.last_id):
                self.last_id = entry_id
                self._windows += self._order.add(window)
        if self._windows:
            self._has_windows.set()


class WindowFeed:
    """The feeds of a process. Uses Redis only while there are readers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._readers: dict[UUID, set[WindowReader]] = {}
        self._wake = asyncio.Event()
        self._outages = Outages(log, "window_feed_failed", "window_feed_resumed")

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: Redis) -> AsyncIterator["WindowFeed"]:
        """Run a feed during the block."""
        feed = cls(redis)
        async with run_beside(feed._read_forever()):
            yield feed

    @contextmanager
    def reading(self, job_id: UUID) -> Iterator[WindowReader]:
        """Open a reader of a job's feed."""
        reader = WindowReader(self._wake)
        self._readers.setdefault(job_id, set()).add(reader)
        self._wake.set()
        try:
            yield reader
        finally:
            self._readers[job_id].remove(reader)
            if not self._readers[job_id]:
                del self._readers[job_id]

    async def delete(self, job_id: UUID) -> None:
        """Delete the feed of an erased job. While Redis is unavailable, it expires instead."""
        try:
            await delete_windows(self._redis, job_id)
        except (RedisError, OSError) as error:
            log.warning("windows_not_deleted", job_id=job_id, error=str(error) or type(error).__name__)

    async def _read_forever(self) -> None:
        while True:
            if not (after := self._positions()):
                await self._wake.wait()
                self._wake.clear()
                continue
            try:
                found = await read_windows(self._redis, after, block_ms=BLOCK_MS, at_most=ENTRIES_AT_ONCE)
            except (RedisError, OSError) as error:
                self._outages.failed(error)
                await asyncio.sleep(RETRY_S)
                continue
            self._outages.worked()
            for job_id, entries in found.items():
                for reader in self._readers.get(job_id, ()):
                    if reader.has_room and _number(reader.last_id) >= _number(after[job_id]):  # else it missed some
                        reader.add(entries)
            if found:
                await asyncio.sleep(PAUSE_S)

    def _positions(self) -> dict[UUID, bytes]:
        """Return after which entry to read each feed on: the position of its slowest reader that has room."""
        after = {}
        for job_id, readers in self._readers.items():
            if ids := [reader.last_id for reader in readers if reader.has_room]:
                after[job_id] = min(ids, key=_number)
        return after


def _number(entry_id: bytes) -> tuple[int, int]:
    """Return the two numbers of an entry's id, which are in order."""
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)
