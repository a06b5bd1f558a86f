"""The connections to Postgres: opened when first needed, so that the ingest starts while the database is away.

Turns the driver's ways of saying "away" into one OutageError; every other error stays a defect.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from ingest_service.http.errors import OutageError
from ingest_service.metrics.metrics import DATABASE_OUTAGES
from shared.logs import Log
from shared.metrics.pool_gauges import Pool

log = Log(__name__)

POOL_SIZE = 20
CONNECT_TIMEOUT_S = 3.0
ACQUIRE_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 5.0

AWAY = (
    OSError,  # refused, reset, no such host; TimeoutError is one too
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.ReadOnlySQLTransactionError,  # a standby: the failover is not over
    asyncpg.InterfaceError,  # the connection broke under a statement, or the pool is closing
    asyncpg.InternalClientError,
)


class Database:
    """A pool of connections; `connection()` raises OutageError `database_unavailable` when Postgres is away."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @property
    def pool(self) -> Pool:
        """For whoever wants to know how much of it is in use."""
        pool: Pool = self._pool
        return pool

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, pool_size: int = POOL_SIZE) -> AsyncIterator["Database"]:
        """A pool without connections yet, closed at the end."""
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=pool_size,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            reset=_left_as_found,
            server_settings={"application_name": "headrace-ingest"},
        )
        await pool
        try:
            yield cls(pool)
        finally:
            pool.terminate()  # requests are over by now; a frozen server must not hold up the shutdown

    @asynccontextmanager
    async def connection(self, *, needed: bool = True) -> AsyncIterator[Any]:
        """A connection for a few statements. An outage that keeps nobody from anything is not counted."""
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
            try:
                yield connection
            except AWAY:
                await self._condemn(connection)
                raise
            finally:
                await self._release(connection)
        except AWAY as error:
            if needed:
                DATABASE_OUTAGES.inc()
            raise OutageError("database_unavailable", "The database is away; try again later.") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in a transaction, which is committed when the block ends well."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def _condemn(self, connection: Any) -> None:
        """One broken connection condemns all: found out one by one, frozen ones would cost a time-out each."""
        connection.terminate()
        await self._pool.expire_connections()

    async def _release(self, connection: Any) -> None:
        """Give a connection back. One that breaks only now has done its work: what was committed is."""
        try:
            await self._pool.release(connection)
        except AWAY as error:
            log.warning("connection_broke", error=type(error).__name__)
            await self._pool.expire_connections()

    async def check(self) -> None:
        """Raise OutageError unless the database answers."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")


async def _left_as_found(_: Any) -> None:
    """Spare the round trip that asyncpg makes to reset a connection: no statement of ours changes a session's state."""
