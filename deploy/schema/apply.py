"""Applies one migration to a database that serves: what waits for a lock longer than a moment lets everybody pass and
comes again, because behind it all others would wait for the same table.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec

from deploy.schema.migration import Migration, MigrationError
from deploy.schema.split_sql import split

LONGEST_PAUSE_S = 10.0
IN_THE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)

RECORD = "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)"

# What is changed is everybody's, whichever tenant; the limits end with the transaction.
BEGIN = """
SELECT set_config('headrace.tenant', '*', true), set_config('lock_timeout', $1, true),
       set_config('statement_timeout', $2, true)
"""

# What a CREATE INDEX CONCURRENTLY that did not come to its end has left: no use, and its name is taken.
INVALID_INDEXES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relname = ANY ($1::text[])
"""

Tell = Callable[[str], None]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a migration may be in anybody's way; 0 is no limit."""

    lock_timeout_s: float = 1.0  # uploads wait as long as a statement waits for its lock: not longer than that
    statement_timeout_s: float = 60.0
    patience_s: float = 600.0  # how long it is tried again when locks are not to be had


async def apply(connection: Any, migration: Migration, limits: Limits, tell: Tell) -> None:
    """Apply it and record that, trying again while others hold its locks; raises MigrationError."""
    pause_s = limits.lock_timeout_s
    give_up_at = time.monotonic() + limits.patience_s
    while True:
        try:
            await _apply(connection, migration, limits)
        except IN_THE_WAY as error:
            if time.monotonic() + pause_s > give_up_at:
                raise MigrationError(f"{migration.name} was not applied: {error}: see who holds it") from error
        except asyncpg.QueryCanceledError as error:
            raise MigrationError(
                f"{migration.name} was not applied: {error}; --statement-timeout-s allows more"
            ) from error
        except asyncpg.PostgresError as error:
            raise MigrationError(f"{migration.name} was not applied: {error}") from error
        else:
            return
        tell(f"{migration.name} waits for a lock: again in {pause_s:g} s")
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def _apply(connection: Any, migration: Migration, limits: Limits) -> None:
    if not migration.in_transaction:
        await _apply_outside(connection, migration)
        return
    async with connection.transaction():
        await connection.execute(BEGIN, _ms(limits.lock_timeout_s), _ms(limits.statement_timeout_s))
        await connection.execute(migration.sql)
        await connection.execute(RECORD, migration.name, migration.sha256)


async def _apply_outside(connection: Any, migration: Migration) -> None:
    """Statement by statement and without limits: what may stand there takes no lock that stops rows (see `lint`)."""
    words = sorted({word.strip('"') for word in migration.sql.replace("(", " ").split()})
    await connection.execute("SET lock_timeout = 0; SET statement_timeout = 0")  # whatever the role's own are
    for index in await connection.fetch(INVALID_INDEXES, words):
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index['name']}")
    for statement in split(migration.sql):
        await connection.execute(statement)
    await connection.execute(RECORD, migration.name, migration.sha256)


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
