"""Applies one migration to a database in use. A migration that waits too long for a lock gives up and retries, because
all other statements on the table would queue behind it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec

from deploy.schema.migration import Migration, MigrationError
from deploy.schema.partitions import dropped_by, on_partitions, table_of
from deploy.schema.split_sql import split

LONGEST_PAUSE_S = 10.0
LOCKED_OUT = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)

INSERT_APPLIED = "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)"

# A migration changes the rows of all tenants. The timeouts end with the transaction.
BEGIN = """
SELECT set_config('headrace.tenant', '*', true), set_config('lock_timeout', $1, true),
       set_config('statement_timeout', $2, true)
"""

# An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index that keeps its name.
INVALID_INDEXES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname = ANY ($1::text[])
"""

PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass($1) ORDER BY c.relname
"""
IS_PARTITIONED = "SELECT relkind = 'I' FROM pg_class WHERE oid = to_regclass($1)"

Report = Callable[[str], None]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a migration may block other statements; 0 means no limit."""

    lock_timeout_s: float = 1.0  # uploads wait while a statement waits for its lock
    statement_timeout_s: float = 60.0
    give_up_after_s: float = 600.0  # how long a migration that gets no lock is retried


async def apply(connection: Any, migration: Migration, limits: Limits, report: Report) -> None:
    """Apply a migration and store that it was applied. Retry while its locks are held. Raise MigrationError."""
    pause_s = limits.lock_timeout_s
    give_up_at = time.monotonic() + limits.give_up_after_s
    while True:
        try:
            await _apply(connection, migration, limits)
        except LOCKED_OUT as error:
            if time.monotonic() + pause_s > give_up_at:
                raise MigrationError(
                    f"{migration.name} was not applied: {error}; see pg_locks for the holder"
                ) from error
        except asyncpg.QueryCanceledError as error:
            raise MigrationError(f"{migration.name} was not applied: {error}; raise --statement-timeout-s") from error
        except asyncpg.PostgresError as error:
            raise MigrationError(f"{migration.name} was not applied: {error}") from error
        else:
            return
        report(f"{migration.name} waits for a lock: next attempt in {pause_s:g} s")
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def _apply(connection: Any, migration: Migration, limits: Limits) -> None:
    if not migration.in_transaction:
        await _apply_outside(connection, migration, limits)
        return
    async with connection.transaction():
        await connection.execute(BEGIN, _ms(limits.lock_timeout_s), _ms(limits.statement_timeout_s))
        await connection.execute(migration.sql)
        await connection.execute(INSERT_APPLIED, migration.name, migration.sha256)


async def _apply_outside(connection: Any, migration: Migration, limits: Limits) -> None:
    """Run statement by statement: `lint` allows only statements here that do not block rows.

    A statement runs without timeouts, unless it is the end of one about a partitioned table.
    """
    statements = [each for one in split(migration.sql) for each in await _for_partitions(connection, one)]
    words = sorted({word.strip('"') for word in " ".join(statements).replace("(", " ").split()})
    await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")  # override the role's own
    for index in await connection.fetch(INVALID_INDEXES, words):
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index['name']}")
    for statement in statements:
        wait = 0.0 if " CONCURRENTLY " in statement else limits.lock_timeout_s
        await connection.execute(f"SET lock_timeout = {_ms(wait)}")
        await connection.execute(statement)
    await connection.execute(INSERT_APPLIED, migration.name, migration.sha256)


async def _for_partitions(connection: Any, statement: str) -> list[str]:
    """Return what to run in place of a statement: several if it is about the index of a partitioned table."""
    if table := table_of(statement):
        rows = await connection.fetch(PARTITIONS, table)
        return on_partitions(statement, [row["relname"] for row in rows]) if rows else [statement]
    index = dropped_by(statement)
    if index and await connection.fetchval(IS_PARTITIONED, index):
        return [f"DROP INDEX IF EXISTS {index}"]
    return [statement]


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
