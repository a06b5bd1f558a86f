"""Connections to Postgres, opened when first needed, so that the ingest starts while the database is unavailable.

All driver errors that mean "unavailable" become one OutageError. Every other error is a defect.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Self, TypeVar

import asyncpg

from ingest_service.errors import OutageError
from ingest_service.telemetry.metrics import DATABASE_OUTAGES
from shared.connections import primary
from shared.connections.postgres import Pooler, connection_options
from shared.connections.tenancy import begin
from shared.telemetry.logs import Log

log = Log(__name__)

T = TypeVar("T")
Query = Callable[[Any], Awaitable[T]]  # gets the connection

POOL_SIZE = 20
CONNECT_TIMEOUT_S = 3.0
ACQUIRE_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0  # for open read transactions when the process stops

UNAVAILABLE = (
    OSError,  # refused, reset, unknown host; also TimeoutError
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.ReadOnlySQLTransactionError,  # a standby: the failover has not ended
    asyncpg.InterfaceError,  # the connection broke during a statement, or the pool is closing
    asyncpg.InternalClientError,
)


class Database:
    """A pool of connections. All methods raise OutageError `database_unavailable` if Postgres is unavailable."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self._ending: set[asyncio.Task[None]] = set()  # rollbacks of finished reads

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, pool_size: int = POOL_SIZE, pooler: Pooler = "none") -> AsyncIterator[Self]:
        """Open a pool without connections. Close it at the end of the block."""
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=pool_size,
            connect=primary.connect,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            reset=_no_reset,
            server_settings={"application_name": "headrace-ingest"},
            **connection_options(pooler),
        )
        await pool
        database = cls(pool)
        try:
            yield database
        finally:
            if database._ending:
                await asyncio.wait(database._ending, timeout=CLOSE_TIMEOUT_S)
            pool.terminate()  # all requests have ended; a frozen server must not delay the shutdown
            await asyncio.gather(*database._ending, return_exceptions=True)

    @asynccontextmanager
    async def connection(self, *, needed: bool = True) -> AsyncIterator[Any]:
        """Lend a connection for statements about no tenant. Row-level security hides all tenants' rows from it.

        With `needed=False` an outage is not counted.
        """
        with _outages_raised(counted=needed):
            connection = await self.pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
            try:
                yield connection
            except UNAVAILABLE:
                await self._expire_all(connection)
                raise
            finally:
                await self._release(connection)

    @asynccontextmanager
    async def transaction(self, *tenants: str) -> AsyncIterator[Any]:
        """Lend a connection in a transaction for these tenants' rows. Commit unless the block raises."""
        async with self.connection() as connection, begun(connection, *tenants):
            yield connection

    @asynccontextmanager
    async def reading(self, *tenants: str, needed: bool = True) -> AsyncIterator[Any]:
        """Lend a connection that only reads these tenants' rows. The caller does not wait for the transaction's end.

        With `needed=False` an outage is not counted, since the caller can go on without the rows.
        """
        with _outages_raised(counted=needed):
            connection = await self.pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
            try:
                await connection.execute(begin(*tenants))
                yield connection
            except UNAVAILABLE:
                await self._expire_all(connection)
                raise
            finally:
                ending = asyncio.create_task(self._roll_back(connection), context=contextvars.Context())
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def read(self, query: Query[T], *tenants: str, needed: bool = True) -> T:
        """Return the result of a client's read of these tenants' rows. It may run on a replica, and may run again.

        It sees all that was acknowledged, or announced by a hint, before the call. What a change, an authentication or
        a quota depends on is read in `reading` or `transaction`.
        """
        async with self.reading(*tenants, needed=needed) as connection:
            return await query(connection)

    async def _roll_back(self, connection: Any) -> None:
        try:
            if not connection.is_closed():
                await connection.execute("ROLLBACK")
        except UNAVAILABLE:
            await self._expire_all(connection)
        finally:
            await self._release(connection)

    async def _expire_all(self, connection: Any) -> None:
        """Close all connections after one broke. Frozen connections would cost a timeout each."""
        with suppress(asyncpg.InterfaceError):  # the pool was closed meanwhile and has closed the connection
            connection.terminate()
        await self.pool.expire_connections()

    async def _release(self, connection: Any) -> None:
        """Return a connection to the pool. If it breaks now, its work is already committed."""
        try:
            await self.pool.release(connection)
        except UNAVAILABLE as error:
            log.warning("database_connection_lost", error=type(error).__name__)
            await self.pool.expire_connections()

    async def check(self) -> None:
        """Raise OutageError unless the database answers."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")


@contextmanager
def _outages_raised(*, counted: bool = True) -> Iterator[None]:
    try:
        yield
    except UNAVAILABLE as error:
        if counted:
            DATABASE_OUTAGES.inc()
        raise OutageError("database_unavailable", "The database is unavailable. Try again later.") from error


@asynccontextmanager
async def begun(connection: Any, *tenants: str) -> AsyncIterator[None]:
    """Run the block in a transaction for these tenants' rows. The transaction begins in one round trip."""
    try:
        await connection.execute(begin(*tenants))
        yield
    except UNAVAILABLE:  # the connection's owner closes it; do not wait for a frozen server again
        raise
    except BaseException:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def _no_reset(_: Any) -> None:
    """Skip asyncpg's reset of a connection and its round trip: no statement of ours changes a session's state."""
