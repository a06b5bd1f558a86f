"""How much of a process's connections to Postgres is in use."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from shared.run_beside import run_beside
from shared.telemetry.count_board import Board
from shared.telemetry.counters import Histogram

# Measures how late the event loop runs what is due: whatever blocks it, everything in the process waits for.

EVERY_S = 0.5
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LAG_TEXT = "How much later than asked for a timer of the event loop rang, twice a second."


@asynccontextmanager
async def loop_watched(lag: Histogram, sample: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Observe it, in seconds, while the block runs; `sample` is called as often, for gauges of the process."""
    async with run_beside(_watch(lag, sample)):
        yield


async def _watch(lag: Histogram, sample: Callable[[], None]) -> None:
    while True:
        sample()
        due_s = time.perf_counter() + EVERY_S
        await asyncio.sleep(EVERY_S)
        lag.observe(max(0.0, time.perf_counter() - due_s))  # a loop counts in milliseconds, and may be early


class Pool(Protocol):
    """The part of `asyncpg.Pool` that tells."""

    def get_size(self) -> int: ...

    def get_idle_size(self) -> int: ...

    def get_max_size(self) -> int: ...


class PoolGauges:
    """Gauges of one pool; `prefix` is what the names of a service's metrics begin with."""

    def __init__(self, board: Board, prefix: str) -> None:
        self._connections = board.gauges_by(
            ("state", ("used", "idle")), f"{prefix}_database_connections", "Open connections to Postgres."
        )
        self._most = board.gauge(f"{prefix}_database_connections_max", "How many there may be.")

    def sample(self, pool: Pool) -> None:
        """Take the numbers of now."""
        size, idle = pool.get_size(), pool.get_idle_size()
        self._connections["used"].set(size - idle)
        self._connections["idle"].set(idle)
        self._most.set(pool.get_max_size())
