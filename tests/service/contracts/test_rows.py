"""Rows of older versions fit the current schema before `--phase post`, and this version reads them.

If the file of an old version blocks a `post` migration, and upgrades from that version are no longer supported, delete
the file.
"""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.postgres import create_service_role
from deploy.migrate import migrate
from ingest_service.settings import IngestSettings
from processor_service.tasks.claim import claim
from shared.secret import Secret
from tests.support.contracts.recorded import VERSION, Recorded, read_recorded, versions
from tests.support.contracts.rows import columns_of, load
from tests.support.contracts.two_versions import migrations_before_post
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.tus_client import Tus
from tests.support.servers import SERVICE_PASSWORD, as_owner

POSTPONE_EXPIRY = "UPDATE uploads SET expires_at = now() + interval '1 hour'"


@pytest.fixture(params=versions())
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """What each version wrote."""
    return read_recorded(request.param)


@pytest_asyncio.fixture
async def before_post_url(empty_database_url: str, tmp_path: Path) -> str:
    """A database with the schema of an upgrade in progress: all migrations except the `post` ones at the end."""
    for migration in migrations_before_post():
        (tmp_path / f"{migration.name}.sql").write_text(migration.sql)
    await migrate(empty_database_url, tmp_path)
    return empty_database_url


@pytest_asyncio.fixture
async def settings(before_post_url: str, redis_url: str, storage_url: str) -> IngestSettings:
    service_url = await create_service_role(before_post_url, SERVICE_PASSWORD)
    return IngestSettings(database_url=Secret(service_url), redis_url=Secret(redis_url), storage_url=storage_url)


async def test_this_version_is_recorded_with_every_table(database_url: str) -> None:
    recorded = read_recorded(VERSION)
    now = {row["table"] for row in await _columns(database_url)}
    assert (set(recorded.columns), set(recorded.rows)) == (now, now), "make record-contracts"


async def test_old_columns_keep_their_types_and_new_columns_are_optional(
    before_post_url: str, recorded: Recorded
) -> None:
    now = {(row["table"], row["column"]): row for row in await _columns(before_post_url)}
    then = {(table, column): type_ for table, columns in recorded.columns.items() for column, type_ in columns.items()}
    assert {key: now[key]["type"] if key in now else None for key in then} == then
    new = [key for key in now if key not in then and key[0] in recorded.columns]
    assert [key for key in new if now[key]["is_required"]] == []


async def test_clients_get_the_same_answers_about_old_rows(recorded: Recorded, settings: IngestSettings) -> None:
    await _load(settings, recorded)
    async with serving(settings) as ingest:
        await _expect_jobs(ingest, recorded)
        (upload,) = recorded.rows["uploads"]
        head = await Tus.to(ingest).request("HEAD", f"/v1/uploads/{upload['id']}")
        assert head.offset == upload["offset_bytes"] == 40
        _, usage = await ingest.get("/v1/usage")
        assert sum(day["uploads"] for day in usage["days"]) == len(recorded.rows["jobs"])
        _, dead = await ingest.get("/v1/dead-letters")
        assert [each["code"] for each in dead["dead_letters"]] == ["undecodable_audio"]


async def _expect_jobs(ingest: Ingest, recorded: Recorded) -> None:
    for row in recorded.rows["jobs"]:
        _, job = await ingest.get(f"/v1/jobs/{row['id']}")
        assert (job["status"], job["metadata"]) == (row["status"], row["metadata"])
        assert [each["code"] for each in job["warnings"]] == [each["code"] for each in row["warnings"]]
        _, log = await ingest.get(f"/v1/jobs/{row['id']}/webhook-attempts")
        assert [each["status"] for each in log["attempts"]] == ([204] if row["webhook_url"] else [])


async def test_a_processor_claims_an_old_task(recorded: Recorded, settings: IngestSettings) -> None:
    await _load(settings, recorded)
    (waiting,) = [task for task in recorded.rows["tasks"] if task["state"] == "dispatched"]
    async with asyncpg.create_pool(as_owner(settings.database_url.reveal()), min_size=1, max_size=1) as pool:
        task = await claim(pool, UUID(waiting["id"]), waiting["dispatch_no"], worker="test", lease_s=15)
    assert task is not None
    assert (task.options.language, task.options.prompt, task.options.diarize) == ("de", "Zoë", True)


async def test_a_changed_key_is_announced_by_its_id(recorded: Recorded, settings: IngestSettings) -> None:
    await _load(settings, recorded)
    (key,) = recorded.rows["api_keys"]
    notifications: asyncio.Queue[object] = asyncio.Queue()
    connection = await asyncpg.connect(as_owner(settings.database_url.reveal()))
    await connection.add_listener(
        str(recorded.names["notify channel"]), lambda *arguments: notifications.put_nowait(arguments[-1])
    )
    await connection.execute("UPDATE api_keys SET revoked_at = now()")
    assert await asyncio.wait_for(notifications.get(), 10) == key["id"]
    await connection.close()


async def _load(settings: IngestSettings, recorded: Recorded) -> None:
    connection = await asyncpg.connect(as_owner(settings.database_url.reveal()))
    await load(connection, recorded.rows)
    await connection.execute(POSTPONE_EXPIRY)
    await connection.close()


async def _columns(url: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return await columns_of(connection)
    finally:
        await connection.close()
