"""How much of a process's connections to Postgres is in use."""

from typing import Protocol

from shared.telemetry.count_board import Board


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
