"""Brings the schema of a database up to date: `python -m deploy.migrate`, with HEADRACE_DATABASE_URL set.

Applies `migrations/*.sql`, each once, in the one order that `schema/migration.py` gives them: `--phase pre` before the
new version starts, `--phase post` after the one before has ended; a database with nothing in it gets all at once.
Several may run at a time: an advisory lock lets one work and the others find nothing left to do. It never takes
anything back.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from deploy.schema.apply import Limits, Tell, apply
from deploy.schema.migration import Migration, MigrationError, Phase, choose, due, read_migrations
from shared.connections.postgres import PoolerFoundError, refuse_poolers

__all__ = ["MIGRATIONS", "Limits", "MigrationError", "Phase", "find_due", "migrate"]

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x68656164  # "head" in ASCII; any number that nobody else locks
POLL_S = 0.2

CREATE_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name        text PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    sha256      text
)
"""
KEEP_SHA256 = "ALTER TABLE schema_migrations ADD COLUMN sha256 text"  # of databases from before it was kept
RECORD_SHA256 = "UPDATE schema_migrations SET sha256 = $2 WHERE name = $1 AND sha256 IS NULL"

HAS_RECORD = "SELECT to_regclass('schema_migrations') IS NOT NULL"
HAS_SHA256 = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'schema_migrations'::regclass AND attname = 'sha256')
"""
APPLIED = (
    "SELECT name, to_jsonb(applied) ->> 'sha256' AS sha256 FROM schema_migrations applied"  # with the column or without
)


async def migrate(
    database_url: str,
    folder: Path = MIGRATIONS,
    *,
    phase: Phase | None = None,
    limits: Limits | None = None,
    tell: Tell = lambda _: None,
) -> list[str]:
    """Apply what is missing of a phase (None: of both) and return its names; raises MigrationError."""
    async with _connected(database_url) as connection:
        await _lock(connection, tell)
        await connection.execute(CREATE_RECORD)
        migrations = read_migrations(folder)
        missing = await _find_due(connection, migrations, phase)
        await _keep_sha256(connection, migrations)
        for migration in missing:
            await apply(connection, migration, limits or Limits(), tell)
    return [migration.name for migration in missing]


async def find_due(database_url: str, folder: Path = MIGRATIONS, *, phase: Phase | None = None) -> list[Migration]:
    """What `migrate` would apply now; changes nothing. Raises MigrationError."""
    async with _connected(database_url) as connection:
        return await _find_due(connection, read_migrations(folder), phase)


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[Any]:
    try:
        connection = await asyncpg.connect(database_url)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise MigrationError(f"cannot connect to the database: {error or type(error).__name__}") from error
    try:
        await refuse_poolers(connection)  # one would keep the lock, which is the session's
        yield connection
    except PoolerFoundError as error:
        raise MigrationError("cannot migrate through a pooler: give the database's own address") from error
    except asyncpg.PostgresError as error:
        raise MigrationError(f"cannot migrate: {error}") from error
    finally:
        await connection.close()  # frees the lock too


async def _lock(connection: Any, tell: Tell) -> None:
    """Asked for again and again: who waits is in a transaction, and CREATE INDEX CONCURRENTLY waits for those."""
    waits = False
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
        if not waits:
            tell("another migration is at work: waiting for it")
        waits = True
        await asyncio.sleep(POLL_S)


async def _find_due(connection: Any, migrations: Sequence[Migration], phase: Phase | None) -> list[Migration]:
    applied: dict[str, str | None] = {}
    if await connection.fetchval(HAS_RECORD):
        applied = {row["name"]: row["sha256"] for row in await connection.fetch(APPLIED)}
    return choose(due(migrations, applied), phase if applied else None)


async def _keep_sha256(connection: Any, migrations: Sequence[Migration]) -> None:
    """Of what was applied before these were kept: the files are taken for what they were then."""
    if not await connection.fetchval(HAS_SHA256):
        await connection.execute(KEEP_SHA256)
    await connection.executemany(RECORD_SHA256, [(each.name, each.sha256) for each in migrations])


def main(arguments: Sequence[str] | None = None) -> int:
    """Migrate the database of the environment; the exit status."""
    asked = _parser().parse_args(arguments)
    database_url = os.environ.get("HEADRACE_DATABASE_URL")
    if not database_url:
        print("HEADRACE_DATABASE_URL is not set", file=sys.stderr)
        return 1
    phase = None if asked.phase == "all" else Phase(asked.phase)
    try:
        if asked.list:
            names = [each.name for each in asyncio.run(find_due(database_url, phase=phase))]
        else:
            limits = Limits(**{name: getattr(asked, name) for name in Limits.__struct_fields__})
            names = asyncio.run(migrate(database_url, phase=phase, limits=limits, tell=_tell))
    except MigrationError as error:
        print(error, file=sys.stderr)
        return 1
    nothing = "the schema is up to date" if phase is None else f"nothing is due in the phase {phase}"
    print(f"{'due:' if asked.list else 'applied'} {', '.join(names)}" if names else nothing)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.migrate", description="bring the schema up to date")
    parser.add_argument("--phase", choices=["pre", "post", "all"], default="all", help="all: while no service runs")
    parser.add_argument("--list", action="store_true", help="say what is due and change nothing")
    for name, default in (("lock", Limits().lock_timeout_s), ("statement", Limits().statement_timeout_s)):
        parser.add_argument(f"--{name}-timeout-s", type=float, default=default, help=f"0: none; default {default:g}")
    parser.add_argument("--patience-s", type=float, default=Limits().patience_s, help="of trying again for locks")
    return parser


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
