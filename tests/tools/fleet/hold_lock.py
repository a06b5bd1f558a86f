"""Takes a lock as a processor's transaction does, prints "held", holds it: `python -m tests.tools.fleet.hold_lock`."""

import asyncio
import os

from processor_service.database import opened
from processor_service.service import STATEMENT_TIMEOUT_S

LOCK = 4242


async def hold_lock(database_url: str) -> None:
    """Hold the lock until this process or PostgreSQL ends."""
    async with (
        opened(database_url, max_size=1, command_timeout_s=STATEMENT_TIMEOUT_S) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        print("held", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(hold_lock(os.environ["HEADRACE_DATABASE_URL"]))
