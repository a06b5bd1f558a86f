"""Updates the schema of a database: `python -m deploy.migrate`, with HEADRACE_DATABASE_URL set.

Applies each of `migrations/*.sql` once, in the order of `schema/migration.py`: `--phase pre` before the new version
starts, `--phase post` after the previous one has stopped. An empty database gets all at once. Several may run at a
time: an advisory lock lets one work. Migrations are never undone.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from deploy.schema.apply import Limits, Report, apply
from deploy.schema.migration import Migration, MigrationError, Phase, choose, due, read_migrations
from shared.connections import primary
from shared.connections.postgres import PoolerFoundError, refuse_poolers
from shared.environment import take_environment

__all__ = ["MIGRATIONS", "Limits", "MigrationError", "Phase", "find_due", "migrate"]

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x68656164  # "head" in ASCII; any number that nothing else locks
POLL_S = 0.2

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name        text PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    sha256      text
)
"""
ADD_SHA256 = "ALTER TABLE schema_migrations ADD COLUMN sha256 text"  # for databases that are older than this column
SET_SHA256 = "UPDATE schema_migrations SET sha256 = $2 WHERE name = $1 AND sha256 IS NULL"

HAS_TABLE = "SELECT to_regclass('schema_migrations') IS NOT NULL"
HAS_SHA256 = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'schema_migrations'::regclass AND attname = 'sha256')
"""
APPLIED = (
    "SELECT name, to_jsonb(applied) ->> 'sha256' AS sha256 FROM schema_migrations applied"  # with or without the column
)


async def migrate(
    database_url: str,
    folder: Path = MIGRATIONS,
    *,
    phase: Phase | None = None,
    limits: Limits | None = None,
    report: Report = lambda _: None,
) -> list[str]:
    """Apply the due migrations of a phase (None: of both) and return their names. Raise MigrationError."""
    async with _connected(database_url) as connection:
        await _lock(connection, report)
        await connection.execute(CREATE_TABLE)
        migrations = read_migrations(folder)
        missing = await _find_due(connection, migrations, phase)
        await _keep_sha256(connection, migrations)
        for migration in missing:
            await apply(connection, migration, limits or Limits(), report)
    return [migration.name for migration in missing]


async def find_due(database_url: str, folder: Path = MIGRATIONS, *, phase: Phase | None = None) -> list[Migration]:
    """Return what `migrate` would apply now. Changes nothing. Raise MigrationError."""
    async with _connected(database_url) as connection:
        return await _find_due(connection, read_migrations(folder), phase)


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[Any]:
    try:
        connection = await primary.connect(database_url)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise MigrationError(f"cannot connect to the database: {error or type(error).__name__}") from error
    try:
        await refuse_poolers(connection)  # the lock belongs to a session
        yield connection
    except PoolerFoundError as error:
        raise MigrationError("cannot migrate through a pooler: use the database's own address") from error
    except asyncpg.PostgresError as error:
        raise MigrationError(f"cannot migrate: {error}") from error
    finally:
        await connection.close()  # also releases the lock


async def _lock(connection: Any, report: Report) -> None:
    """Poll for the lock. To wait for it is a transaction, which CREATE INDEX CONCURRENTLY would wait for."""
    waits = False
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
        if not waits:
            report("another migration is running: waiting for it")
        waits = True
        await asyncio.sleep(POLL_S)


async def _find_due(connection: Any, migrations: Sequence[Migration], phase: Phase | None) -> list[Migration]:
    applied: dict[str, str | None] = {}
    if await connection.fetchval(HAS_TABLE):
        applied = {row["name"]: row["sha256"] for row in await connection.fetch(APPLIED)}
    return choose(due(migrations, applied), phase if applied else None)


async def _keep_sha256(connection: Any, migrations: Sequence[Migration]) -> None:
    """Store missing sha256 of applied migrations, taken from the files."""
    if not await connection.fetchval(HAS_SHA256):
        await connection.execute(ADD_SHA256)
    await connection.executemany(SET_SHA256, [(each.name, each.sha256) for each in migrations])


def main(arguments: Sequence[str] | None = None) -> int:
    """Migrate the database of HEADRACE_DATABASE_URL and return the exit status."""
    asked = _parser().parse_args(arguments)
    database_url = take_environment().get("HEADRACE_DATABASE_URL")
    if not database_url:
        print("HEADRACE_DATABASE_URL is not set", file=sys.stderr)
        return 1
    phase = None if asked.phase == "all" else Phase(asked.phase)
    try:
        if asked.list:
            names = [each.name for each in asyncio.run(find_due(database_url, phase=phase))]
        else:
            limits = Limits(**{name: getattr(asked, name) for name in Limits.__struct_fields__})
            names = asyncio.run(migrate(database_url, phase=phase, limits=limits, report=_report))
    except MigrationError as error:
        print(error, file=sys.stderr)
        return 1
    nothing = "the schema is up to date" if phase is None else f"nothing is due in the phase {phase}"
    print(f"{'due:' if asked.list else 'applied'} {', '.join(names)}" if names else nothing)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.migrate", description="Update the database schema.")
    parser.add_argument(
        "--phase", choices=["pre", "post", "all"], default="all", help="all: only while no service runs"
    )
    parser.add_argument("--list", action="store_true", help="list due migrations, change nothing")
    for name, default in (("lock", Limits().lock_timeout_s), ("statement", Limits().statement_timeout_s)):
        parser.add_argument(
            f"--{name}-timeout-s", type=float, default=default, help=f"0: no limit; default {default:g}"
        )
    parser.add_argument(
        "--give-up-after-s",
        type=float,
        default=Limits().give_up_after_s,
        help="how long a migration that gets no lock is retried",
    )
    return parser


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
