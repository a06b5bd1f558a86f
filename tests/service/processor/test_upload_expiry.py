"""Abandoned resumable uploads expire with their parts; the others stay."""

from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from processor_service.maintenance.expire import UploadExpirer
from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.scan_store import StoreScan
from processor_service.maintenance.storage import OrphanCollector, PartCollector
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from tests.support.storage.files_below import files_below

INSERT = """
INSERT INTO uploads (id, expires_at, lease_token, options, metadata, completed_at, ended_at, lease_expires_at)
VALUES ($1, now() + make_interval(secs => $2), 3, '{}', 'filename eA==',
    CASE WHEN $3 = 'completed' THEN now() END, CASE WHEN $3 = 'ended' THEN now() END,
    CASE WHEN $3 = 'held' THEN now() + interval '1 minute' END)
"""
HOUR_S = 3600.0


@pytest.fixture
def blobs(storage_url: str) -> BlobStore:
    return BlobStore(storage_url)


async def upload(
    database: asyncpg.Pool, blobs: BlobStore, *, expires_in_s: float = HOUR_S, state: str = "open"
) -> UUID:
    """Insert an upload with one recorded part."""
    upload_id = new_id()
    await database.execute(INSERT, upload_id, expires_in_s, state)
    await database.execute("INSERT INTO upload_parts VALUES ($1, 0, 1, 2)", upload_id)
    await blobs.put(blob_keys.upload_part(upload_id, 0, 2), b"x")
    return upload_id


def files(storage_url: str) -> set[str]:
    root = Path(urlsplit(storage_url).path)
    return {str(path.relative_to(root)) for path in files_below(root)}


def owners(storage_url: str) -> set[str]:
    return {name.split("/")[1] for name in files(storage_url)}


async def test_only_expired_uploads_end(database: asyncpg.Pool, blobs: BlobStore, storage_url: str) -> None:
    living = await upload(database, blobs)
    held = await upload(database, blobs, expires_in_s=-1, state="held")
    expired = await upload(database, blobs, expires_in_s=-1)

    await run_locked(database, "uploads", UploadExpirer(blobs))

    assert owners(storage_url) == {str(living), str(held)}
    row = await database.fetchrow("SELECT * FROM uploads WHERE id = $1", expired)
    assert row["ended_at"] is not None
    assert row["parts_removed_at"] is not None
    assert (row["metadata"], row["options"], row["lease_token"]) == (None, None, 4)
    assert await database.fetchval("SELECT count(*) FROM upload_parts") == 2


@pytest.mark.parametrize("state", ["completed", "ended"])
async def test_parts_of_ended_uploads_are_deleted(
    database: asyncpg.Pool, blobs: BlobStore, storage_url: str, state: str
) -> None:
    upload_id = await upload(database, blobs, state=state)
    await run_locked(database, "uploads", UploadExpirer(blobs))
    assert owners(storage_url) == set()
    row = await database.fetchrow("SELECT * FROM uploads WHERE id = $1", upload_id)
    assert (row["completed_at"] is not None, row["ended_at"] is not None) == (state == "completed", state == "ended")


@pytest.mark.parametrize(("state", "expired_s_ago", "is_kept"), [
    ("completed", -HOUR_S, True),
    ("completed", 1, False),
    ("ended", HOUR_S, True),
    ("ended", 8 * 24 * HOUR_S, False),
    ("open", 8 * 24 * HOUR_S, False),
])  # fmt: skip
async def test_rows_of_old_uploads_are_deleted(
    database: asyncpg.Pool,
    blobs: BlobStore,
    state: str,
    expired_s_ago: float,
    is_kept: bool,  # noqa: FBT001
) -> None:
    await upload(database, blobs, expires_in_s=-expired_s_ago, state=state)
    await run_locked(database, "uploads", UploadExpirer(blobs))
    assert bool(await database.fetchval("SELECT count(*) FROM uploads")) is is_kept


async def test_unrecorded_parts_are_collected(database: asyncpg.Pool, blobs: BlobStore, storage_url: str) -> None:
    living = await upload(database, blobs)
    on_its_way = blob_keys.upload_part(living, 1, 3)
    fenced = blob_keys.upload_part(living, 1, 2)
    of_nobody = blob_keys.upload_part(new_id(), 0, 1)
    cleared = await upload(database, blobs)
    await database.execute("UPDATE uploads SET parts_removed_at = now() WHERE id = $1", cleared)
    for key in (on_its_way, fenced, of_nobody, "uploads/strange", "uploads/x/1-y"):
        await blobs.put(key, b"x")

    await run_locked(
        database, "upload_parts", PartCollector(blobs, StoreScan(blobs, blob_keys.ALL_UPLOADS, older_than_s=HOUR_S))
    )
    assert await blobs.get(fenced) == b"x"  # too young

    await run_locked(
        database, "upload_parts", PartCollector(blobs, StoreScan(blobs, blob_keys.ALL_UPLOADS, older_than_s=-1))
    )
    assert files(storage_url) == {blob_keys.upload_part(living, 0, 2), on_its_way, "uploads/strange", "uploads/x/1-y"}


async def test_the_orphan_collector_skips_uploads(database: asyncpg.Pool, blobs: BlobStore, storage_url: str) -> None:
    living = await upload(database, blobs)
    await run_locked(
        database, "orphans", OrphanCollector(database, blobs, StoreScan(blobs, blob_keys.ALL_JOBS, older_than_s=-1))
    )
    assert owners(storage_url) == {str(living)}


async def test_an_empty_store_has_nothing_to_collect(database: asyncpg.Pool, blobs: BlobStore) -> None:
    assert (
        await run_locked(
            database, "upload_parts", PartCollector(blobs, StoreScan(blobs, blob_keys.ALL_UPLOADS, older_than_s=-1))
        )
        == []
    )
