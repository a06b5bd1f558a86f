"""Maintenance deletes orphans and abandoned upload parts from a bucket."""

import asyncpg

from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.scan_store import StoreScan
from processor_service.maintenance.storage import OrphanCollector, PartCollector
from shared.blobs import blob_keys
from shared.ids import new_id
from tests.service.processor.conftest import Submit, database, submit
from tests.support.storage.stores import Store

__all__ = ["database", "submit"]  # fixtures


async def test_orphans_are_deleted(database: asyncpg.Pool, submit: Submit, s3: Store) -> None:
    task_id = await submit()
    job_id = await database.fetchval("SELECT job_id FROM tasks WHERE id = $1", task_id)
    known = blob_keys.source(job_id)
    for key in [known, *(blob_keys.source(new_id()) for _ in range(60)), blob_keys.upload_part(new_id(), 0, 1)]:
        await s3.blobs.put_small(key, b"x")

    await run_locked(
        database,
        "orphans",
        OrphanCollector(database, s3.blobs, StoreScan(s3.blobs, blob_keys.ALL_JOBS, older_than_s=-60)),
    )
    await run_locked(
        database, "parts", PartCollector(s3.blobs, StoreScan(s3.blobs, blob_keys.ALL_UPLOADS, older_than_s=-60))
    )

    assert await s3.contents() == [known]
