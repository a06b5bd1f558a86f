"""Connections to Postgres. Every transaction of the processor declares that it works for all tenants.

The declaration belongs to the transaction, never to the session: a pooler may pass the connection to another client. A
single statement therefore runs in its own transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from shared.connections.postgres import Pooler, connection_options
from shared.connections.tenancy import ALL_TENANTS, begin

BEGIN = begin(ALL_TENANTS)


class AllTenantsConnection(asyncpg.Connection):  # type: ignore[misc] # it has no types
    """A connection that sees the rows of all tenants. Transactions cannot be nested."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        try:
            await super().execute(BEGIN)
            yield
        except OSError:  # broken, or no answer in time (TimeoutError): do not wait for a ROLLBACK
            self.terminate()
            raise
        except BaseException:
            await super().execute("ROLLBACK")
            raise
        await super().execute("COMMIT")

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
        """Reset nothing: our statements do not change the session's state."""
        return ""

    @asynccontextmanager
    async def _within_transaction(self) -> AsyncIterator[None]:
        if self.is_in_transaction():
            yield
        else:
            async with self.transaction():
                yield


@asynccontextmanager
async def opened(
    database_url: str, *, max_size: int, command_timeout_s: float, pooler: Pooler = "none"
) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool of such connections; close it at the end of the block."""
    pool = await asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=max_size,
        command_timeout=command_timeout_s,
        connection_class=AllTenantsConnection,
        server_settings={"application_name": "headrace-processor"},
        **connection_options(pooler),
    )
    try:
        yield pool
    finally:
        pool.terminate()  # everything is settled; do not wait for a connection that hangs
