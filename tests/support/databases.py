"""Databases for the tests: a migrated copy is used again after its rows are deleted, since a new one costs 0.1 s.

A test may change anything. A database whose schema or settings a test changed, or that grew, is dropped instead.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg

from deploy.local.postgres import Postgres

TEMPLATE = "template_migrated"
MAX_BYTES = 8 << 20  # by which a database may grow; after more, deleted rows would slow the tests that follow
_numbers = count(1)

# The schema `pristine` stores what the migrations inserted, `noted` what `clean` compares with.
# Made in each copy, not in the template, because tests compare the template with the schema of a release.
PREPARE = """
    CREATE SCHEMA pristine;
    DO $$
    DECLARE name text; has_rows boolean;
    BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO has_rows;
            IF has_rows THEN
                EXECUTE format('CREATE TABLE pristine.%I AS TABLE public.%I', name, name);
            END IF;
        END LOOP;
    END $$;

    CREATE SCHEMA noted;
    CREATE TABLE noted.schema_changes (command text);
    CREATE TABLE noted.cleanings ();  -- one row each: if their number is not that of the statistics, those were lost
    CREATE VIEW noted.writes_now AS
        SELECT relname AS name,
            pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid) + pg_stat_get_tuples_deleted(oid) AS rows
        FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace OR oid = 'noted.cleanings'::regclass;
    CREATE TABLE noted.writes AS TABLE noted.writes_now;
    CREATE TABLE noted.size AS SELECT pg_database_size(current_database()) AS bytes;
    CREATE FUNCTION noted.note_change() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN INSERT INTO noted.schema_changes VALUES (TG_TAG); END $$;
    CREATE EVENT TRIGGER note_change ON ddl_command_end EXECUTE FUNCTION noted.note_change();
"""

# PostgreSQL loses its statistics in a crash, which tests cause.
CAN_BE_CLEANED = """
    SELECT NOT EXISTS (SELECT FROM noted.schema_changes)
        AND NOT EXISTS (SELECT FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase
                        WHERE datname = current_database())
        AND pg_database_size(current_database()) < (SELECT bytes FROM noted.size) + $1
        AND (SELECT rows FROM noted.writes_now WHERE name = 'cleanings') = (SELECT count(*) FROM noted.cleanings)
"""

# As a replica, so that no trigger and no foreign key acts. A look into each table would take three times as long: so
# only those are emptied that had writes since the last time, by the statistics. Backends write these when they end.
CLEAN = """
    SET session_replication_role = replica;
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT now.name FROM noted.writes_now AS now NATURAL LEFT JOIN noted.writes AS before
                    WHERE before.name IS NULL AND now.name <> 'cleanings' LOOP
            EXECUTE format('DELETE FROM public.%I', name);
        END LOOP;
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'pristine' LOOP
            EXECUTE format('DELETE FROM public.%I', name);
            EXECUTE format('INSERT INTO public.%I SELECT * FROM pristine.%I', name, name);
        END LOOP;
    END $$;
    SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
    INSERT INTO noted.cleanings DEFAULT VALUES;
    SELECT pg_stat_force_next_flush();
"""

NOTE_WRITES = "DELETE FROM noted.writes; INSERT INTO noted.writes TABLE noted.writes_now"

# True if all other connections have ended.
DISCONNECT = """
    SELECT coalesce(bool_and(pg_terminate_backend(pid, 10000)), true) FROM pg_stat_get_activity(NULL)
    WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""


class Databases:
    """Migrated databases of one server. TEMPLATE must exist."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._clean: list[str] = []

    @asynccontextmanager
    async def migrated(self) -> AsyncIterator[str]:
        """Return the URL of a database with the rows of the migrations only. The end closes all connections to it."""
        name = self._clean.pop() if self._clean else await self._create()
        try:
            yield self._server.database_url(name)
        finally:
            if await self._clean_up(name):
                self._clean.append(name)
            else:
                await drop(self._server, name)

    async def _create(self) -> str:
        name = await create(self._server, TEMPLATE)
        await execute(self._server, PREPARE, name)
        return name

    async def _clean_up(self, name: str) -> bool:
        """Delete what a test wrote. Return whether the database is as new."""
        try:
            connection = await asyncpg.connect(self._server.database_url(name))
        except asyncpg.PostgresError:
            return False  # a test has forbidden connections
        try:
            return await clean(connection)
        except asyncpg.PostgresError:
            return False  # for example, a test has dropped the schema
        finally:
            await connection.close()


async def clean(connection: asyncpg.Connection) -> bool:
    """Delete all rows but those of the migrations. Return False, with nothing deleted, if that is not enough."""
    is_alone = await connection.fetchval(DISCONNECT)
    if not (is_alone and await connection.fetchval(CAN_BE_CLEANED, MAX_BYTES)):
        return False
    await connection.execute(CLEAN)
    await connection.execute(NOTE_WRITES)  # after the transaction whose writes it counts
    return True


@asynccontextmanager
async def new_database(server: Postgres, template: str) -> AsyncIterator[str]:
    """Create a database during a block, and return its URL. The end closes all connections to it."""
    name = await create(server, template)
    try:
        yield server.database_url(name)
    finally:
        await drop(server, name)


async def create(server: Postgres, template: str) -> str:
    """Create a copy of a database. Return its name."""
    name = f"test_{next(_numbers)}"
    # file_copy: without a log of every page; it takes half as long.
    await execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return name


async def drop(server: Postgres, name: str) -> None:
    await execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def execute(server: Postgres, statement: str, database: str = "postgres") -> None:
    connection = await asyncpg.connect(server.database_url(database))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
