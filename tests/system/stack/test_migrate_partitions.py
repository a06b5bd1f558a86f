"""A migration builds an index of a partitioned table on one partition after the other, without blocking writes."""

from pathlib import Path

import asyncpg

from deploy.migrate import migrate

PARTITIONED = """
    CREATE TABLE jobs (id integer, name text) PARTITION BY RANGE (id);
    CREATE TABLE jobs_first PARTITION OF jobs FOR VALUES FROM (0) TO (10);
    CREATE TABLE jobs_other PARTITION OF jobs DEFAULT;
    INSERT INTO jobs VALUES (1, 'a'), (11, 'b');
"""
INDEX = """-- outside a transaction
-- Names are found by it.

CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_by_name ON jobs (name)
    WHERE name <> '';
"""
DROPPED = "-- outside a transaction\nDROP INDEX CONCURRENTLY IF EXISTS jobs_by_name"
# As an interrupted build leaves it.
INVALID = """
    CREATE INDEX jobs_first_jobs_by_name ON jobs_first (name) WHERE name <> '';
    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_first_jobs_by_name'::regclass;
"""
VALID = """
    SELECT indexrelid::regclass::text FROM pg_index
    WHERE indisvalid AND indexrelid::regclass::text ~ 'by_name' ORDER BY 1
"""
ALL = ["jobs_by_name", "jobs_first_jobs_by_name", "jobs_other_jobs_by_name"]


async def test_an_index_is_built_on_each_partition_and_joined(empty_database_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        (tmp_path / "0001_jobs.sql").write_text(PARTITIONED)
        await migrate(empty_database_url, tmp_path)
        await connection.execute(INVALID)
        (tmp_path / "0002_by_name.pre.sql").write_text(INDEX)
        await migrate(empty_database_url, tmp_path)
        assert [row[0] for row in await connection.fetch(VALID)] == ALL
        (tmp_path / "0003_by_name.pre.sql").write_text(DROPPED)
        await migrate(empty_database_url, tmp_path)
        assert await connection.fetch(VALID) == []
    finally:
        await connection.close()


async def test_an_index_of_a_table_without_partitions_is_built_as_written(
    empty_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_jobs.sql").write_text("CREATE TABLE jobs (id integer, name text)")
    (tmp_path / "0002_by_name.pre.sql").write_text(INDEX)
    await migrate(empty_database_url, tmp_path)
    connection = await asyncpg.connect(empty_database_url)
    try:
        assert [row[0] for row in await connection.fetch(VALID)] == ["jobs_by_name"]
    finally:
        await connection.close()
