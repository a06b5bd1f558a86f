"""The ingest or its network fails between two steps of an upload: acknowledged jobs are complete."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError
from ingest_service.quotas.quota_usage import Quotas
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.settings import IngestSettings
from ingest_service.uploads.free_space import FreeSpace
from ingest_service.uploads.from_url import UrlRules
from ingest_service.uploads.job_submitter import JobSubmitter
from ingest_service.uploads.receive import UploadHead
from shared import failpoints
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from tests.support.ingest.process import running
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import MIB, wav

WAV_TYPE = {"Content-Type": "audio/wav"}

Order = Callable[[str, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "failpoints"
    folder.mkdir()
    return folder


@pytest.fixture
def order(folder: Path) -> Iterator[Order]:
    """Arm a failpoint of the ingest in this process once."""
    failpoints.arm(str(folder))
    yield lambda name, what: _write(folder / name, what)
    failpoints.arm("")


def _write(path: Path, what: str) -> None:
    path.write_text(what)


@pytest.mark.parametrize("name", ["upload.after_blob", "submit.before_commit"])
async def test_a_failure_before_the_commit_leaves_nothing(ingest: Ingest, order: Order, name: str) -> None:
    order(name, "fail")
    status, _ = await ingest.post(wav(), headers=WAV_TYPE)
    assert status in {500, 503}
    await ingest.assert_nothing_is_left()
    await ingest.submit(wav())


async def test_a_failure_after_the_commit_leaves_a_whole_job_but_no_202(ingest: Ingest, order: Order) -> None:
    order("submit.after_commit", "fail")
    status, problem = await ingest.post(wav(), headers=WAV_TYPE)
    assert (status, problem["code"]) == (503, "database_unavailable")
    await assert_one_whole_job(ingest)


async def assert_one_whole_job(ingest: Ingest) -> None:
    (job,) = await ingest.sql("SELECT id, source_sha256 FROM jobs")
    stored = await ingest.blobs.get(blob_keys.source(job["id"]))
    assert job["source_sha256"] == hashlib.sha256(stored).hexdigest() == hashlib.sha256(wav()).hexdigest()
    assert len(await ingest.sql("SELECT 1 FROM tasks WHERE state = 'dispatched'")) == 1


TRANSACTIONS = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


@pytest.mark.parametrize(
    ("name", "blobs", "jobs"),
    [("upload.after_blob", 1, 0), ("submit.before_commit", 1, 0), ("submit.after_commit", 1, 1)],
)
async def test_a_killed_process_has_acknowledged_only_complete_jobs(
    settings: IngestSettings, folder: Path, name: str, blobs: int, jobs: int
) -> None:
    """A blob without a row is an orphan; maintenance deletes it."""
    armed = msgspec.structs.replace(settings, failpoints=str(folder))
    async with running(armed) as (process, url), serving(settings) as observer, aiohttp.ClientSession() as client:
        _write(folder / name, "kill")
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.post(url + "/v1/jobs", data=wav(), headers=WAV_TYPE)
        await process.wait()

        async def its_transaction_is_over() -> bool:
            return not await observer.sql(TRANSACTIONS)

        await until(its_transaction_is_over)
        assert (len(observer.stored_files()), await observer.job_count()) == (blobs, jobs)
        if jobs:
            await assert_one_whole_job(observer)


SLOW_COMMIT = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';
    CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wait();
"""


FULL_DISK = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$;
    CREATE CONSTRAINT TRIGGER full_disk AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION full_disk()
"""


async def test_a_commit_that_the_server_refuses_leaves_no_audio(ingest: Ingest) -> None:
    """The disk of PostgreSQL is full: audio that stayed would fill the next one."""
    async with ingest.transaction() as connection:
        await connection.execute(FULL_DISK)
    status, problem = await ingest.post(wav(), headers=WAV_TYPE)
    assert (status, problem["code"]) == (503, "database_unavailable")
    await ingest.assert_nothing_is_left()


async def test_a_request_cancelled_during_its_commit_keeps_its_audio(ingest: Ingest) -> None:
    """The outcome of that COMMIT is unknown. Audio without a job is better than a job without audio."""
    async with Database.opened(ingest.settings.database_url.reveal()) as database, ingest.transaction() as obstacle:
        await obstacle.execute("SELECT pg_advisory_xact_lock(1)")
        async with ingest.transaction() as connection:
            await connection.execute(SLOW_COMMIT)
        quotas, space = QuotaGate(database, Quotas()), FreeSpace(ingest.blobs, 0)
        submitter = JobSubmitter(
            database, ingest.blobs, space, 10 * MIB, UrlRules(schemes=("https",)), quotas=quotas, attach_s=0
        )
        head = UploadHead(content_type="audio/wav", boundary=None, content_length=None, query="")
        request = asyncio.create_task(submitter.submit("default", head, _whole_body))
        await until(ingest.somebody_waits_for_a_lock)
        request.cancel()
        with pytest.raises(CommitUnknownError):
            await request
    assert len(ingest.stored_files()) == 1


async def _whole_body() -> Any:
    return {"type": "http.request", "body": wav(), "more_body": False}


async def test_an_upload_whose_audio_was_collected_is_not_committed(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process froze for hours between storing and committing: its job id is taken by a tombstone."""
    taken = new_id()
    monkeypatch.setattr(BlobStore, "new_id", lambda _: taken)
    async with serving(settings) as ingest:
        take = (
            "INSERT INTO jobs (id, status, options, container, source_bytes, source_sha256, erased_at, blobs_erased_at)"
            " VALUES ($1, 'CANCELLED', '{}', '', 0, '', now(), now())"
        )
        await ingest.sql(take, taken)

        status, problem = await ingest.post(wav(), headers=WAV_TYPE)

        assert (status, problem["code"]) == (503, "storage_unavailable")
        assert ingest.stored_files() == []
