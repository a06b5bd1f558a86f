"""Gauges of a process: the lag of its event loop, and its database connections in use."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from shared.run_beside import run_beside
from shared.telemetry.metric_registry import Histogram, MetricRegistry

EVERY_S = 0.5
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LAG_TEXT = "Delay of a timer of the event loop, measured twice a second."


@asynccontextmanager
async def watching_loop_lag(lag: Histogram, sample: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Observe the event loop's lag in seconds while the block runs. `sample` is called as often, for other gauges."""
    async with run_beside(_watch(lag, sample)):
        yield


async def _watch(lag: Histogram, sample: Callable[[], None]) -> None:
    while True:
        sample()
        due_s = time.perf_counter() + EVERY_S
        await asyncio.sleep(EVERY_S)
        lag.observe(max(0.0, time.perf_counter() - due_s))  # the loop's clock has milliseconds: a timer may be early


class PoolGauges:
    """Gauges of one pool; `prefix` starts the names of a service's metrics."""

    def __init__(self, board: MetricRegistry, prefix: str) -> None:
        self._connections = board.gauges_by(
            ("state", ("used", "idle")), f"{prefix}_database_connections", "Open connections to PostgreSQL."
        )
        self._max = board.gauge(
            f"{prefix}_database_connections_max", "Most connections to PostgreSQL that the pool may open."
        )

    def sample(self, pool: Any) -> None:
        """Set the gauges from an `asyncpg.Pool`, which this package does not import."""
        size, idle = pool.get_size(), pool.get_idle_size()
        self._connections["used"].set(size - idle)
        self._connections["idle"].set(idle)
        self._max.set(pool.get_max_size())
