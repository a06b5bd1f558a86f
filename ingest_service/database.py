"""The connections to Postgres: opened when first needed, so that the ingest starts while the database is away.

Turns the driver's ways of saying "away" into one OutageError; every other error stays a defect.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg

from ingest_service.errors import OutageError
from ingest_service.telemetry.metrics import DATABASE_OUTAGES
from shared.connections.postgres import Pooler, connection_options
from shared.connections.tenancy import begin
from shared.telemetry.logs import Log
from shared.telemetry.process_gauges import Pool

log = Log(__name__)

POOL_SIZE = 20
CONNECT_TIMEOUT_S = 3.0
ACQUIRE_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 5.0
ENDING_TIMEOUT_S = 1.0  # when the process stops

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
        self._ending: set[asyncio.Task[None]] = set()  # of who has read what he wanted

    @property
    def pool(self) -> Pool:
        """For whoever wants to know how much of it is in use."""
        pool: Pool = self._pool
        return pool

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, pool_size: int = POOL_SIZE, pooler: Pooler = "none") -> AsyncIterator["Database"]:
        """A pool without connections yet, closed at the end."""
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=pool_size,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            reset=_left_as_found,
            server_settings={"application_name": "headrace-ingest"},
            **connection_options(pooler),
        )
        await pool
        database = cls(pool)
        try:
            yield database
        finally:
            if database._ending:
                await asyncio.wait(database._ending, timeout=ENDING_TIMEOUT_S)
            pool.terminate()  # requests are over by now; a frozen server must not hold up the shutdown
            await asyncio.gather(*database._ending, return_exceptions=True)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection for statements that are about no tenant: of what belongs to one it sees nothing."""
        with _outages_told():
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
            try:
                yield connection
            except AWAY:
                await self._condemn(connection)
                raise
            finally:
                await self._release(connection)

    @asynccontextmanager
    async def transaction(self, *tenants: str) -> AsyncIterator[Any]:
        """A connection in a transaction for these tenants' rows, which is committed when the block ends well."""
        async with self.connection() as connection, begun(connection, *tenants):
            yield connection

    @asynccontextmanager
    async def reading(self, *tenants: str, needed: bool = True) -> AsyncIterator[Any]:
        """A connection that only reads these tenants' rows. Nobody waits for the end of its transaction.

        An outage that keeps nobody from what was `needed` is not counted.
        """
        with _outages_told(counted=needed):
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
            try:
                await connection.execute(begin(*tenants))
                yield connection
            except AWAY:
                await self._condemn(connection)
                raise
            finally:
                ending = asyncio.create_task(self._end(connection), context=contextvars.Context())
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def _end(self, connection: Any) -> None:
        try:
            if not connection.is_closed():
                await connection.execute("ROLLBACK")
        except AWAY:
            await self._condemn(connection)
        finally:
            await self._release(connection)

    async def _condemn(self, connection: Any) -> None:
        """One broken connection condemns all: found out one by one, frozen ones would cost a time-out each."""
        with suppress(asyncpg.InterfaceError):  # the pool was closed meanwhile, and has ended it
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


@contextmanager
def _outages_told(*, counted: bool = True) -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        if counted:
            DATABASE_OUTAGES.inc()
        raise OutageError("database_unavailable", "The database is away; try again later.") from error


@asynccontextmanager
async def begun(connection: Any, *tenants: str) -> AsyncIterator[None]:
    """A transaction for these tenants' rows, begun in one round trip."""
    try:
        await connection.execute(begin(*tenants))
        yield
    except AWAY:  # whoever lent the connection ends it; a frozen server must not be waited for once more
        raise
    except BaseException:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def _left_as_found(_: Any) -> None:
    """Spare the round trip that asyncpg makes to reset a connection: no statement of ours changes a session's state."""
