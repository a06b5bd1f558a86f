"""Brings the schema of a database up to date: `python -m deploy.migrate`, with HEADRACE_DATABASE_URL set.

Applies `migrations/*.sql` in the order of their names, each once and in a transaction of its own. Several may run at
a time: an advisory lock lets one work and the others find nothing left to do. It never takes anything back.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import asyncpg

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x68656164  # "head" in ASCII; any number that nobody else locks

CREATE_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name        text PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The schema could not be brought up to date; the message is one line and names no password."""


async def migrate(database_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing and return the names of what was applied; raises MigrationError."""
    connection = await _connect(database_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        await connection.execute(CREATE_RECORD)
        done = {row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations")}
        missing = {name: sql for name, sql in _read(folder).items() if name not in done}
        for name, sql in missing.items():
            await _apply(connection, name, sql)
        return list(missing)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"cannot migrate: {error}") from error
    finally:
        await connection.close()  # frees the lock too


async def _connect(database_url: str) -> Any:
    try:
        return await asyncpg.connect(database_url)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise MigrationError(f"cannot connect to the database: {error or type(error).__name__}") from error


def _read(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}


async def _apply(connection: Any, name: str, sql: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT set_config('headrace.tenant', '*', true)"
            )  # what it changes is everybody's
            await connection.execute(sql)
            await connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", name)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{name} was not applied: {error}") from error


def main() -> int:
    """Migrate the database of the environment; the exit status."""
    database_url = os.environ.get("HEADRACE_DATABASE_URL")
    if not database_url:
        print("HEADRACE_DATABASE_URL is not set", file=sys.stderr)
        return 1
    try:
        applied = asyncio.run(migrate(database_url))
    except MigrationError as error:
        print(error, file=sys.stderr)
        return 1
    print("applied " + ", ".join(applied) if applied else "the schema is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
