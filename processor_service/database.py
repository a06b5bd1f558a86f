"""The connections to Postgres. The processor works for all tenants, and every transaction of its says so.

Said once a transaction, never to the session: a pooler may give the connection to others after it. A statement that
stands alone becomes a transaction for that.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from shared.connections.postgres import Pooler, connection_options
from shared.connections.tenancy import ALL_TENANTS, begin

BEGIN = begin(ALL_TENANTS)


class SpanningConnection(asyncpg.Connection):  # type: ignore[misc] # it has no types
    """Sees the rows of all tenants. Transactions are not nested."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        try:
            await super().execute(BEGIN)
            yield
        except OSError:  # it broke, or did not answer in time (TimeoutError): not to be waited for once more
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
        """Nothing: no statement of ours changes a session's state."""
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
    """A pool of such connections, closed at the end."""
    pool = await asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=max_size,
        command_timeout=command_timeout_s,
        connection_class=SpanningConnection,
        server_settings={"application_name": "headrace-processor"},
        **connection_options(pooler),
    )
    try:
        yield pool
    finally:
        pool.terminate()  # all is settled by now; a connection that hangs must not hold up the end
