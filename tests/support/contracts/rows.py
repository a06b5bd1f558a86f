"""Dump the rows of a database to JSON and load them again, so that another version can read what one version left."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

Rows = dict[str, list[dict[str, Any]]]  # by table

COLUMNS = """
SELECT c.relname AS "table", a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS is_required
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
    AND c.relname <> 'schema_migrations'
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, a.attnum
"""
DUMP = "SELECT coalesce(json_agg(row_to_json(t)), '[]') FROM {table} t"

# Name only the columns that the old version knows, as its own statements do.
INSERT = """
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::json) ON CONFLICT DO NOTHING
"""


async def columns_of(connection: Any) -> list[asyncpg.Record]:
    return list(await connection.fetch(COLUMNS))


async def dump(connection: Any) -> Rows:
    tables = sorted({row["table"] for row in await columns_of(connection)})
    return {table: json.loads(await connection.fetchval(DUMP.format(table=table))) for table in tables}


async def load(connection: Any, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Insert the rows in any order. Foreign keys are not checked."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table, table_rows in rows.items():
            if table_rows:
                statement = INSERT.format(table=table, columns=", ".join(table_rows[0]))
                await connection.execute(statement, json.dumps(table_rows))
