"""Migrations on a real database: each is applied once, in order, atomically."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from deploy.migrate import MIGRATIONS, MigrationError, migrate


def in_order() -> list[str]:
    """All migrations by number; of one number, the part before the new version is first."""
    names = [path.stem for path in MIGRATIONS.glob("*.sql")]
    return sorted(names, key=lambda name: (name[:4], name.endswith(".post")))


async def test_applies_each_once_and_in_order(empty_database_url: str) -> None:
    assert await migrate(empty_database_url) == in_order()
    assert await migrate(empty_database_url) == []


async def test_concurrent_runs_apply_each_once(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(list(MIGRATIONS.glob("*.sql")))]


async def test_a_migration_that_fails_changes_nothing(empty_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE good ()")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE half (); SELECT nonsense")
    with pytest.raises(MigrationError, match="0002_bad was not applied") as caught:
        await migrate(empty_database_url, tmp_path)
    assert "\n" not in str(caught.value)
    connection = await asyncpg.connect(empty_database_url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    await connection.close()
    assert [row["tablename"] for row in tables] == ["good", "schema_migrations"]


async def test_an_unreachable_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="cannot connect to the database"):
        await migrate("postgresql://headrace:x@127.0.0.1:1/none", tmp_path)
