"""New jobs and uploads get keys that spread once the phase `post` has run, and plain keys stay readable."""

from uuid import UUID

import asyncpg
import pytest

from deploy.migrate import MIGRATIONS
from ingest_service.settings import IngestSettings
from ingest_service.uploads import spread_keys
from shared.blobs import blob_keys
from shared.ids import is_spreading
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus
from tests.support.servers import as_owner

PRE, POST = [next(MIGRATIONS.glob(f"*_spread_keys.{phase}.sql")).read_text() for phase in ("pre", "post")]
SOUND = wav()


async def _as_owner(url: str, statement: str) -> None:
    connection = await asyncpg.connect(as_owner(url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _stored(ingest: Ingest) -> UUID:
    job_id = UUID(await ingest.submit(SOUND))
    assert await ingest.blobs.get(blob_keys.source(job_id)) == SOUND
    return job_id


async def test_an_ingest_spreads_new_keys_after_the_phase_post(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread_keys, "ASK_EVERY_S", 0.05)
    url = settings.database_url.reveal()
    await _as_owner(url, PRE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    async with serving(settings) as ingest:
        plain = await _stored(ingest)
        assert not is_spreading(plain)
        assert ingest.stored_jobs() == {str(plain)}

        await _as_owner(url, POST)

        async def spreads() -> bool:
            return is_spreading(await _stored(ingest))

        await until(spreads)
        assert await ingest.blobs.get(blob_keys.source(plain)) == SOUND
        async with ingest.client.get(f"{ingest.url}/v1/jobs/{plain}/audio") as answer:
            assert (answer.status, await answer.read()) == (200, SOUND)


async def test_a_spreading_job_is_served_and_erased(ingest: Ingest) -> None:
    async def spreads() -> bool:
        return is_spreading(await _stored(ingest))

    await until(spreads)
    job_id = await _stored(ingest)
    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/audio") as answer:
        assert (answer.status, await answer.read()) == (200, SOUND)
    for job in (await ingest.get("/v1/jobs"))[1]["jobs"]:
        assert await ingest.delete(f"/v1/jobs/{job['job_id']}") == 204
    assert ingest.stored_files() == []


async def test_parts_of_a_spreading_upload_become_a_job(ingest: Ingest) -> None:
    async def spreads() -> bool:
        return is_spreading(await _stored(ingest))

    await until(spreads)
    tus = Tus.to(ingest)
    path = await tus.created(len(SOUND))
    await tus.patch(path, 0, SOUND[:100])
    upload_id = UUID(path.rpartition("/")[2])
    assert is_spreading(upload_id)
    assert any(blob_keys.upload(upload_id) in str(file) for file in ingest.stored_files())

    assert (await tus.patch(path, 100, SOUND[100:])).status == 204

    (job,) = await ingest.sql("SELECT job_id FROM uploads WHERE completed_at IS NOT NULL")
    assert await ingest.blobs.get(blob_keys.source(job["job_id"])) == SOUND
    assert not any("/uploads/" in str(file) for file in ingest.stored_files())
