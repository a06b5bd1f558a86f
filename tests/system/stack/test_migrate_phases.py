"""Migrations while the previous version runs: two ordered phases, short locks, concurrent index builds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy import migrate as command
from deploy.migrate import Limits, MigrationError, Phase, find_due, migrate

TWO_RELEASES = {
    "0001_start": "CREATE TABLE jobs (id integer PRIMARY KEY, old text)",
    "0002_new.pre": "ALTER TABLE jobs ADD COLUMN new text",
    "0003_new.post": "ALTER TABLE jobs DROP COLUMN old",
    "0004_newer.pre": "ALTER TABLE jobs ADD COLUMN newer text",
}
INDEX = {"0002_index.pre": "-- outside a transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_by_id ON jobs (id)"}
ONE_ATTEMPT = Limits(lock_timeout_s=0.05, give_up_after_s=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, {"0001_start": TWO_RELEASES["0001_start"]})
    return tmp_path


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, sql in files.items():
        (folder / f"{name}.sql").write_text(sql)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def fetchval(url: str, query: str) -> Any:
    async with connected(url) as connection:
        return await connection.fetchval(query)


async def names(url: str, phase: Phase | None, folder: Path) -> list[str]:
    return [each.name for each in await find_due(url, folder, phase=phase)]


async def test_phases_are_applied_in_order(empty_database_url: str, folder: Path) -> None:
    url = empty_database_url
    assert await migrate(url, folder, phase=Phase.PRE) == ["0001_start"]
    write(folder, {name: sql for name, sql in TWO_RELEASES.items() if name < "0004"})
    with pytest.raises(MigrationError, match=r"0002_new\.pre is due first"):
        await migrate(url, folder, phase=Phase.POST)
    assert await migrate(url, folder, phase=Phase.PRE) == ["0002_new.pre"]
    assert await migrate(url, folder, phase=Phase.PRE) == []
    write(folder, TWO_RELEASES)
    with pytest.raises(MigrationError, match=r"0003_new\.post was never applied"):
        await migrate(url, folder, phase=Phase.PRE)
    assert await migrate(url, folder, phase=Phase.POST) == ["0003_new.post"]
    assert await migrate(url, folder, phase=Phase.PRE) == ["0004_newer.pre"]
    assert await migrate(url, folder) == []


async def test_without_a_phase_all_are_applied_in_the_same_order(empty_database_url: str, folder: Path) -> None:
    write(folder, TWO_RELEASES)
    assert await migrate(empty_database_url, folder) == list(TWO_RELEASES)


async def test_an_empty_database_gets_all_in_the_first_phase(empty_database_url: str, folder: Path) -> None:
    write(folder, TWO_RELEASES)
    assert await migrate(empty_database_url, folder, phase=Phase.PRE) == list(TWO_RELEASES)


async def test_post_comes_after_pre_of_the_same_name(empty_database_url: str, folder: Path) -> None:
    write(folder, {"0002_x.post": "SELECT 1", "0002_x.pre": "SELECT 1"})
    assert await migrate(empty_database_url, folder) == ["0001_start", "0002_x.pre", "0002_x.post"]


async def test_listing_due_migrations_changes_nothing(empty_database_url: str, folder: Path) -> None:
    assert await names(empty_database_url, None, folder) == ["0001_start"]
    assert await fetchval(empty_database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await migrate(empty_database_url, folder)
    write(folder, TWO_RELEASES)
    assert await names(empty_database_url, None, folder) == ["0002_new.pre", "0003_new.post", "0004_newer.pre"]


async def test_a_file_changed_after_it_was_applied_is_an_error(empty_database_url: str, folder: Path) -> None:
    await migrate(empty_database_url, folder)
    write(folder, {**TWO_RELEASES, "0001_start": "CREATE TABLE jobs ()"})
    with pytest.raises(MigrationError, match="0001_start was changed after it was applied"):
        await migrate(empty_database_url, folder)
    assert await fetchval(empty_database_url, "SELECT count(*) FROM schema_migrations") == 1


async def test_missing_checksums_of_applied_files_are_stored(empty_database_url: str, folder: Path) -> None:
    async with connected(empty_database_url) as connection:
        await connection.execute("CREATE TABLE schema_migrations (name text PRIMARY KEY, applied_at timestamptz)")
        await connection.execute("INSERT INTO schema_migrations VALUES ('0001_start', now()), ('0000_gone', now())")
    assert await migrate(empty_database_url, folder) == []
    write(folder, {"0001_start": "CREATE TABLE jobs ()"})
    with pytest.raises(MigrationError, match="0001_start was changed"):
        await migrate(empty_database_url, folder)


async def test_a_name_without_number_and_phase_is_refused(empty_database_url: str, folder: Path) -> None:
    write(folder, {"0002_x.prae": "SELECT 1"})
    with pytest.raises(MigrationError, match=r"invalid migration name 0002_x\.prae\.sql"):
        await migrate(empty_database_url, folder)


async def test_a_migration_waits_for_a_locked_table_in_short_intervals(empty_database_url: str, folder: Path) -> None:
    await migrate(empty_database_url, folder)
    write(folder, {"0002_new.pre": TWO_RELEASES["0002_new.pre"]})
    waits = asyncio.Event()
    limits = Limits(lock_timeout_s=0.05, give_up_after_s=30)
    async with connected(empty_database_url) as user, connected(empty_database_url) as other:
        transaction = user.transaction()
        await transaction.start()
        await user.execute("INSERT INTO jobs VALUES (1)")
        at_work = asyncio.create_task(
            migrate(empty_database_url, folder, limits=limits, report=lambda _: waits.set()),
        )
        await asyncio.wait_for(waits.wait(), 30)
        await other.execute("INSERT INTO jobs VALUES (2)", timeout=10)  # other sessions are not blocked meanwhile
        await transaction.commit()
        assert await at_work == ["0002_new.pre"]


async def test_a_migration_that_never_gets_its_lock_fails_and_changes_nothing(
    empty_database_url: str, folder: Path
) -> None:
    await migrate(empty_database_url, folder)
    write(folder, {"0002_new.pre": "CREATE TABLE half (); " + TWO_RELEASES["0002_new.pre"]})
    async with connected(empty_database_url) as user, user.transaction():
        await user.execute("INSERT INTO jobs VALUES (1)")
        with pytest.raises(MigrationError, match=r"0002_new\.pre was not applied: .* lock timeout"):
            await migrate(empty_database_url, folder, limits=ONE_ATTEMPT)
    assert await fetchval(empty_database_url, "SELECT to_regclass('half')") is None


async def test_a_statement_that_takes_too_long_is_cancelled(empty_database_url: str, folder: Path) -> None:
    write(folder, {"0002_slow.pre": "SELECT pg_sleep(60)"})
    with pytest.raises(
        MigrationError, match=r"0002_slow\.pre was not applied: .*statement timeout; raise --statement-timeout-s"
    ):
        await migrate(empty_database_url, folder, limits=Limits(statement_timeout_s=0.05))


async def test_an_index_is_built_while_rows_are_written(empty_database_url: str, folder: Path) -> None:
    await migrate(empty_database_url, folder)
    write(folder, INDEX)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with connected(empty_database_url) as user, connected(empty_database_url) as other:
        transaction = user.transaction()
        await transaction.start()
        await user.execute("INSERT INTO jobs VALUES (1)")
        several = [asyncio.create_task(migrate(empty_database_url, folder)) for _ in range(3)]
        async with asyncio.timeout(30):
            while not await other.fetchval(waiting):  # noqa: ASYNC110 - Postgres has no event for it
                await asyncio.sleep(0.01)
        await other.execute("INSERT INTO jobs VALUES (2)", timeout=10)
        await transaction.commit()
        assert sorted(await asyncio.gather(*several)) == [[], [], ["0002_index.pre"]]
    assert await fetchval(
        empty_database_url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'jobs_by_id'::regclass"
    )


async def test_an_invalid_index_is_built_again(empty_database_url: str, folder: Path) -> None:
    await migrate(empty_database_url, folder)
    write(
        folder,
        {"0002_index.pre": INDEX["0002_index.pre"].replace("INDEX C", "UNIQUE INDEX C").replace("(id)", "(old)")},
    )
    async with connected(empty_database_url) as user:
        await user.execute("INSERT INTO jobs VALUES (1, 'twice'), (2, 'twice')")
        with pytest.raises(MigrationError, match=r"0002_index\.pre was not applied: could not create unique index"):
            await migrate(empty_database_url, folder)
        await user.execute("DELETE FROM jobs WHERE id = 2")
    assert await migrate(empty_database_url, folder) == ["0002_index.pre"]
    assert await fetchval(
        empty_database_url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'jobs_by_id'::regclass"
    )


async def test_the_command_lists_and_applies_and_reports(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def said(*arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("HEADRACE_DATABASE_URL", empty_database_url)  # the command takes it out of the environment
        status = await asyncio.to_thread(command.main, arguments)
        return status, "".join(capsys.readouterr())

    status, listed = await said("--list")
    assert (status, listed[:26]) == (0, "due: 0001_jobs_and_tasks, ")
    assert (await said("--phase", "pre"))[1] == listed.replace("due:", "applied")
    assert await said() == (0, "the schema is up to date\n")
    assert await said("--phase", "post", "--list") == (0, "nothing is due in the phase post\n")
