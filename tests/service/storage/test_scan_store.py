"""Searches for orphans go on where the run before ended, list what they must, and read the bucket's own inventory."""

import csv
import datetime as dt
import gzip
import io
from collections.abc import Iterable
from urllib.parse import quote_plus
from uuid import UUID

import asyncpg
import msgspec
import pytest

from processor_service.maintenance import scan_store
from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.scan_store import StoreScan
from processor_service.maintenance.storage import OrphanCollector, PartCollector
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.blobs.inventory import Inventory
from shared.ids import PLAIN, SPREADING, new_id
from tests.service.processor.conftest import INSERT_JOB, database
from tests.support.storage.stores import Store

__all__ = ["database"]  # a fixture

SOON_S = -60  # clocks of stores may be ahead
HOUR_S = 3600.0
STATE = "SELECT * FROM blob_scans WHERE name = $1"


async def _put(store: Store, keys: Iterable[str]) -> list[str]:
    keys = list(keys)
    for key in keys:
        await store.blobs.put_small(key, b"x")
    return keys


def _ids(count: int) -> list[UUID]:
    return [new_id(SPREADING if number % 2 else PLAIN) for number in range(count)]


async def test_a_scan_lists_by_key_from_any_key_on(store: Store) -> None:
    keys = [key for job_id in _ids(6) for key in blob_keys.all_of_job(job_id, chunks=1)]
    await _put(store, [*keys, "jobs-not/one", "uploads/one/0-1"])
    ordered = sorted(keys)
    for after in ["", ordered[0], ordered[7], ordered[20] + "x", ordered[-2], ordered[-1]]:
        found = [blob.key async for page in store.blobs.scan(blob_keys.ALL_JOBS, after) for blob in page]
        assert found == [key for key in ordered if key > after]
    assert [page async for page in store.blobs.scan("nothing")] == []


class SmallRuns:
    """Runs that end after one page of three blobs."""

    def __init__(self, database: asyncpg.Pool, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scan_store, "PAGES_A_RUN", 1)
        monkeypatch.setattr("shared.blobs.blob_store.LIST_PAGE", 3)
        self.database = database
        self.blobs = store.blobs

    async def run(self, *, again_after_s: float = 0.0) -> str:
        """Run once as a new process. Return the last key that was looked at."""
        scan = StoreScan(self.blobs, blob_keys.ALL_JOBS, older_than_s=SOON_S, again_after_s=again_after_s)
        await run_locked(self.database, "orphans", OrphanCollector(self.database, self.blobs, scan))
        return str((await self.database.fetchrow(STATE, blob_keys.ALL_JOBS))["after"])


async def test_a_run_goes_on_where_the_one_before_ended(
    database: asyncpg.Pool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = SmallRuns(database, store, monkeypatch)
    keys = sorted(map(blob_keys.source, _ids(7)))
    await _put(store, keys)

    assert await runs.run() == keys[2]
    assert await store.contents() == keys[3:]
    assert await runs.run() == keys[5]
    assert await store.contents() == keys[6:]
    await runs.run()
    assert await store.contents() == []


async def test_a_pass_ends_and_the_next_one_begins_in_time(
    database: asyncpg.Pool, s3: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = SmallRuns(database, s3, monkeypatch)
    await _put(s3, map(blob_keys.source, _ids(2)))
    await runs.run()
    await runs.run()
    first = await database.fetchrow(STATE, blob_keys.ALL_JOBS)
    assert first["ended_at"] is not None
    (late,) = await _put(s3, [blob_keys.source(new_id())])

    await runs.run(again_after_s=HOUR_S)
    assert await database.fetchrow(STATE, blob_keys.ALL_JOBS) == first
    assert await s3.contents() == [late]

    await runs.run()
    await runs.run()
    assert await s3.contents() == []


async def test_a_failed_run_is_repeated(database: asyncpg.Pool, s3: Store) -> None:
    keys = await _put(s3, sorted(map(blob_keys.source, _ids(2))))
    await database.execute("ALTER TABLE blob_scans ADD CHECK (after = '')")
    scan = StoreScan(s3.blobs, blob_keys.ALL_JOBS, older_than_s=SOON_S)
    with pytest.raises(asyncpg.CheckViolationError):
        await run_locked(database, "orphans", OrphanCollector(database, s3.blobs, scan))
    assert await database.fetchrow(STATE, blob_keys.ALL_JOBS) is None
    await database.execute("ALTER TABLE blob_scans DROP CONSTRAINT blob_scans_after_check")
    await _put(s3, keys)
    await run_locked(database, "orphans", OrphanCollector(database, s3.blobs, scan))
    assert await s3.contents() == []


def _csv(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return gzip.compress(text.getvalue().encode())


class Inventories:
    """Writes inventories of a store as S3 does, into a folder of the same bucket."""

    def __init__(self, store: Store) -> None:
        self.folder = BlobStore(f"{store.url}/inventory/headrace/daily")
        self.prefix = store.blobs.key_prefix
        self.read = Inventory(self.folder, key_prefix=self.prefix)

    async def write(self, name: str, *files: list[str], file_format: str = "CSV", schema: str = "") -> None:
        at = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        stored = []
        for number, keys in enumerate(files):
            rows = [("headrace", quote_plus(self.prefix + key, safe="/"), "1", at) for key in keys]
            await self.folder.put_small(f"data/{name}-{number}.csv.gz", _csv(rows))
            stored.append({"key": f"{self.folder.key_prefix}data/{name}-{number}.csv.gz", "size": 1})
        schema = schema or "Bucket, Key, Size, LastModifiedDate"
        manifest = {"sourceBucket": "headrace", "fileFormat": file_format, "fileSchema": schema, "files": stored}
        await self.folder.put_small(f"{name}/manifest.json", msgspec.json.encode(manifest))


async def test_an_inventory_is_read_instead_of_a_listing(
    database: asyncpg.Pool, s3: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_store, "PAGES_A_RUN", 1)
    wanted = new_id(SPREADING)
    await database.execute(INSERT_JOB, wanted, None)
    kept = blob_keys.source(wanted)
    first, second, unnamed = await _put(s3, map(blob_keys.source, _ids(3)))
    part = blob_keys.upload_part(new_id(), 0, 1)
    await _put(s3, [kept, part])
    inventories = Inventories(s3)
    await inventories.write("2026-01-01T00-00Z", [unnamed])
    await inventories.write("2026-01-02T00-00Z", [first, kept, part, "jobs/strange +%"], [second])

    scan = StoreScan(s3.blobs, blob_keys.ALL_JOBS, older_than_s=HOUR_S, inventory=inventories.read)
    collector = OrphanCollector(database, s3.blobs, scan)
    await run_locked(database, "orphans", collector)
    assert not {first, second, unnamed, part, kept} - set(await s3.contents()) - {first}
    for _ in range(3):
        await run_locked(database, "orphans", collector)
    left = [key for key in await s3.contents() if not key.startswith("inventory/")]
    assert left == sorted([kept, unnamed, part])

    parts = StoreScan(s3.blobs, blob_keys.ALL_UPLOADS, older_than_s=HOUR_S, inventory=inventories.read)
    await run_locked(database, "upload_parts", PartCollector(s3.blobs, parts))
    await inventories.write("2026-01-03T00-00Z", [unnamed])
    await run_locked(database, "orphans", collector)
    assert [key for key in await s3.contents() if not key.startswith("inventory/")] == [kept]


@pytest.mark.parametrize("wrong", [{"file_format": "ORC"}, {"schema": "Bucket, Key"}])
async def test_an_inventory_in_another_format_is_an_error(
    database: asyncpg.Pool, s3: Store, wrong: dict[str, str]
) -> None:
    inventories = Inventories(s3)
    await inventories.write("2026-01-01T00-00Z", ["jobs/x"], **wrong)
    scan = StoreScan(s3.blobs, blob_keys.ALL_JOBS, older_than_s=HOUR_S, inventory=inventories.read)
    with pytest.raises(BlobStoreError, match="CSV with the columns"):
        await run_locked(database, "orphans", OrphanCollector(database, s3.blobs, scan))


async def test_without_an_inventory_yet_nothing_is_searched(database: asyncpg.Pool, s3: Store) -> None:
    (orphan,) = await _put(s3, [blob_keys.source(new_id())])
    scan = StoreScan(s3.blobs, blob_keys.ALL_JOBS, older_than_s=SOON_S, inventory=Inventories(s3).read)
    await run_locked(database, "orphans", OrphanCollector(database, s3.blobs, scan))
    assert await s3.contents() == [orphan]
