"""Connections to Postgres. Every statement of the processor works for all tenants.

Where the role or a direct connection's session already says so, a single statement needs no transaction. Otherwise the
transaction declares it, never the session: a pooler may pass the connection to another client.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from shared.connections import primary
from shared.connections.postgres import Pooler, begin_session, connection_options
from shared.connections.tenancy import ALL_TENANTS, begin

BEGIN = begin(ALL_TENANTS)
SEES_ALL_TENANTS = "SELECT sees_all_tenants()"
DECLARE_IN_SESSION = "SELECT set_config('headrace.tenant', '*', false)"
CONNECT_TIMEOUT_S = 5.0
DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
UNUSABLE = (OSError, asyncpg.ReadOnlySQLTransactionError)  # broken, silent, or a primary that became a replica


class AllTenantsConnection(asyncpg.Connection):  # type: ignore[misc] # it has no types
    """A connection that sees the rows of all tenants. Transactions cannot be nested."""

    sees_all_tenants = False  # without a declaration in the transaction
    expire_all: Callable[[], Awaitable[None]]  # closes the pool's connections: all lead to the same server

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        try:
            await super().execute("BEGIN" if self.sees_all_tenants else BEGIN)
            yield
        except UNUSABLE:  # do not wait for a ROLLBACK
            self.terminate()
            await self.expire_all()
            raise
        except BaseException:
            await super().execute("ROLLBACK")
            raise
        await super().execute("COMMIT")

    async def declare_tenants(self, pooler: Pooler) -> None:
        """Prepare a new connection. Only a direct one keeps what its session declares."""
        if pooler == "none":
            await begin_session(self)
            await super().fetchval(DECLARE_IN_SESSION)
        self.sees_all_tenants = bool(await super().fetchval(SEES_ALL_TENANTS))

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's
        async with self._within_transaction():
            return str(await super().execute(query, *args, timeout=timeout))

    async def fetch(self, query: str, *args: Any, **options: Any) -> list[Any]:
        async with self._within_transaction():
            return list(await super().fetch(query, *args, **options))

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        async with self._within_transaction():
            return await super().fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        async with self._within_transaction():
            return await super().fetchval(query, *args, **options)

    def get_reset_query(self) -> str:
        """Reset nothing: our statements do not change the session's state after `declare_tenants`."""
        return ""

    @asynccontextmanager
    async def _within_transaction(self) -> AsyncIterator[None]:
        if self.is_in_transaction():
            yield
        elif not self.sees_all_tenants:
            async with self.transaction():
                yield
        else:
            try:
                yield
            except UNUSABLE:
                self.terminate()
                await self.expire_all()
                raise


@asynccontextmanager
async def opened(
    database_url: str, *, max_size: int, command_timeout_s: float, pooler: Pooler = "none"
) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool of such connections; close it at the end of the block."""

    async def init(connection: AllTenantsConnection) -> None:
        connection.expire_all = pool.expire_connections
        await connection.declare_tenants(pooler)

    pool = asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=max_size,
        connect=primary.connect,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=command_timeout_s,
        connection_class=AllTenantsConnection,
        server_settings={"application_name": "headrace-processor"},
        **connection_options(pooler) | {"init": init},
    )
    await pool
    try:
        yield pool
    finally:
        pool.terminate()  # everything is settled; do not wait for a connection that hangs
