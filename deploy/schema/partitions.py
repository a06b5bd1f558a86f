"""Rewrites a statement about an index of a partitioned table: Postgres does neither CREATE INDEX CONCURRENTLY nor DROP
INDEX CONCURRENTLY for one. Pure.
"""

import re
from collections.abc import Sequence

from deploy.schema.split_sql import bare

CREATE = re.compile(
    r"\s*(?P<create>CREATE (?:UNIQUE )?INDEX) CONCURRENTLY IF NOT EXISTS (?P<name>\S+)"
    r" ON (?P<table>[^\s(]+)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
DROP = re.compile(r"DROP INDEX CONCURRENTLY IF EXISTS (\S+)", re.IGNORECASE)
COMMENT = re.compile(r"^\s*--[^\n]*\n", re.MULTILINE)
MOST_BYTES = 63  # of a name


def table_of(statement: str) -> str | None:
    """Return the table on which a statement creates an index concurrently."""
    found = CREATE.match(bare(statement))
    return found["table"] if found else None


def dropped_by(statement: str) -> str | None:
    """Return the index that a statement drops concurrently."""
    found = DROP.match(bare(statement))
    return found[1] if found else None


def index_of(partition: str, index: str) -> str:
    """Return the name of a partition's part of an index."""
    return f"{partition}_{index}"[:MOST_BYTES]


def on_partitions(statement: str, partitions: Sequence[str]) -> list[str]:
    """Return the statements that build an index on each partition, without blocking it, and then join them.

    The last ones wait for the table's writers, and take no time then. All can be repeated.
    """
    found = CREATE.match(COMMENT.sub("", statement))
    if not found:
        return [statement]
    create, name, table, rest = found["create"], found["name"], found["table"], found["rest"]
    parts = [(partition, index_of(partition, name)) for partition in partitions]
    return [
        *(f"{create} CONCURRENTLY IF NOT EXISTS {index} ON {partition}{rest}" for partition, index in parts),
        f"{create} IF NOT EXISTS {name} ON ONLY {table}{rest}",
        *(f"ALTER INDEX {name} ATTACH PARTITION {index}" for _, index in parts),
    ]
