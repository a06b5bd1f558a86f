"""Jobs and audio erased by age, blobs swept after a DELETE, and orphans collected."""

import datetime as dt
import os
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from processor_service.maintenance.erase import Eraser, Retention
from processor_service.maintenance.failed_chunks import ChunkBounds, KeptChunks, beyond_bounds
from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.scan_store import StoreScan
from processor_service.maintenance.storage import DEFAULT_BOUNDS, OrphanCollector
from processor_service.tasks.outcomes import Delivered, DeliveryAttempt, NotDelivered
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.ids import SPREADING, new_id
from shared.schemas.failures import Failure, FailureCode
from tests.service.processor.conftest import INSERT_JOB, Claim, Submit, job_row
from tests.support.storage.files_below import files_below

KEEP = Retention(jobs_s=0, audio_s=0, webhook_log_s=3600)
HOUR_S = 3600.0

OPTIONS = '{"prompt":"Ada","language":"en"}'
METADATA = '"\\u0000"'  # valid in JSON, invalid in jsonb
END_JOB = """
UPDATE jobs SET status = $2, completed_at = now() - make_interval(secs => $3), filename = 'a', options = $4,
    metadata = $5, chunk_count = 1, chunk_generation = 1, peaks_generation = 1, duration_s = 4000
WHERE id = $1
"""

DEAD_CHUNK = "INSERT INTO tasks (id, job_id, kind, state) VALUES ($1, $2, 'chunk', 'dead')"

Files = set[str]


def _orphans(database: asyncpg.Pool, blobs: BlobStore, failed: ChunkBounds = DEFAULT_BOUNDS) -> OrphanCollector:
    scan = StoreScan(blobs, blob_keys.ALL_JOBS, older_than_s=HOUR_S)
    return OrphanCollector(database, blobs, scan, failed=failed)


@pytest.fixture
def blobs(storage_url: str) -> BlobStore:
    return BlobStore(storage_url)


def _files(storage_url: str) -> Files:
    root = Path(urlsplit(storage_url).path)
    return {str(path.relative_to(root)) for path in files_below(root)}


def _make_old(storage_url: str) -> None:
    for path in Path(urlsplit(storage_url).path).rglob("*"):
        os.utime(path, (0, 0))


def _results(job_id: UUID) -> Files:
    return {key(job_id, 1) for key in (blob_keys.transcript, blob_keys.peaks, blob_keys.peaks_overview)}


async def _job(database: asyncpg.Pool, submit: Submit, blobs: BlobStore, status: str, ended_s_ago: float) -> UUID:
    task_id = await submit()
    job_id = UUID(str(await database.fetchval("SELECT job_id FROM tasks WHERE id = $1", task_id)))
    await database.execute(END_JOB, job_id, status, ended_s_ago, OPTIONS, METADATA)
    for key in (blob_keys.source(job_id), *_results(job_id), blob_keys.chunk_audio(job_id, 1, 0)):
        await blobs.put(key, b"x")
    return job_id


async def _failed_job(database: asyncpg.Pool, submit: Submit, blobs: BlobStore, ended_s_ago: float) -> UUID:
    """A job whose only chunk is dead, which a redrive can continue."""
    job_id = await _job(database, submit, blobs, "FAILED", ended_s_ago)
    await database.execute("UPDATE jobs SET chunk_count = 1, chunk_generation = 1 WHERE id = $1", job_id)
    await database.execute(DEAD_CHUNK, new_id(), job_id)
    return job_id


async def test_jobs_are_erased_by_age_and_leave_a_tombstone(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore, storage_url: str
) -> None:
    old = await _job(database, submit, blobs, "COMPLETED", 2 * HOUR_S)
    young = await _job(database, submit, blobs, "COMPLETED", 0)
    eraser = Eraser(blobs, Retention(jobs_s=HOUR_S, audio_s=0, webhook_log_s=1), lease_s=0)

    await run_locked(database, "erase", eraser)
    await run_locked(database, "erase", eraser)

    row = await job_row(database, old)
    assert (row["status"], row["metadata"], row["filename"], row["options"]) == (
        "COMPLETED",
        None,
        None,
        '{"language":"en"}',
    )
    assert row["erased_at"] is not None
    assert row["blobs_erased_at"] is not None
    assert (await job_row(database, young))["erased_at"] is None
    assert {key.split("/")[1] for key in _files(storage_url)} == {str(young)}


async def test_audio_is_erased_by_its_own_age(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore, storage_url: str
) -> None:
    old = await _job(database, submit, blobs, "COMPLETED", 2 * HOUR_S)

    await run_locked(database, "erase", Eraser(blobs, Retention(jobs_s=0, audio_s=HOUR_S, webhook_log_s=1), lease_s=15))

    assert blob_keys.source(old) not in _files(storage_url)
    assert _results(old) <= _files(storage_url)


async def test_blobs_written_after_an_erasure_are_swept_once_the_lease_is_over(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore, storage_url: str
) -> None:
    job_id = await _job(database, submit, blobs, "CANCELLED", 0)
    await database.execute("UPDATE jobs SET erased_at = now() - interval '30 seconds' WHERE id = $1", job_id)

    await run_locked(database, "erase", Eraser(blobs, KEEP, lease_s=15))
    assert _files(storage_url)
    await run_locked(database, "erase", Eraser(blobs, KEEP, lease_s=5))
    assert not _files(storage_url)


async def test_orphans_are_collected_when_they_are_old(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore, storage_url: str
) -> None:
    unrecorded = new_id()
    await blobs.put(blob_keys.source(unrecorded), b"x")
    running = await _job(database, submit, blobs, "PROCESSING", 0)
    failed = await _failed_job(database, submit, blobs, 0)
    completed = await _job(database, submit, blobs, "COMPLETED", 0)
    await blobs.put("other/blob", b"x")
    before = _files(storage_url)

    await run_locked(database, "orphans", _orphans(database, blobs))
    assert _files(storage_url) == before

    await database.execute("SELECT 1")
    _make_old(storage_url)
    await run_locked(database, "orphans", _orphans(database, blobs))

    assert before - _files(storage_url) == {blob_keys.source(unrecorded), blob_keys.chunk_audio(completed, 1, 0)}
    assert blob_keys.chunk_audio(failed, 1, 0) in _files(storage_url)
    assert blob_keys.chunk_audio(running, 1, 0) in _files(storage_url)


async def test_a_commit_after_the_collection_of_its_audio_fails(
    database: asyncpg.Pool, blobs: BlobStore, storage_url: str
) -> None:
    frozen, committing = new_id(), new_id()
    for job_id in (frozen, committing):
        await blobs.put(blob_keys.source(job_id), b"x")
    _make_old(storage_url)
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(INSERT_JOB, committing, None)
        await run_locked(database, "orphans", _orphans(database, blobs))

    assert _files(storage_url) == {blob_keys.source(committing)}
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute(INSERT_JOB, frozen, None)


async def test_partial_uploads_of_a_killed_process_are_deleted(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore, storage_url: str
) -> None:
    job_id = await _job(database, submit, blobs, "PROCESSING", 0)
    before = _files(storage_url)
    root = Path(urlsplit(storage_url).path)
    for key in (blob_keys.source(job_id), blob_keys.source(new_id(SPREADING))):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{key}#1").write_bytes(b"half")
    (root / f"{blob_keys.job(job_id)}/whole#no").write_bytes(b"whole")

    await run_locked(database, "orphans", _orphans(database, blobs))
    assert len(_files(storage_url) - before) == 3

    _make_old(storage_url)
    await run_locked(database, "orphans", _orphans(database, blobs))
    assert _files(storage_url) - before == {f"{blob_keys.job(job_id)}/whole#no"}


HOOK = "http://client.example/hook?token=secret"
SECRET = "whsec_bXktb3duLXNlY3JldC1vZi0yNC1ieXRlcw=="  # noqa: S105 - a test's
ADD_WEBHOOK = "UPDATE jobs SET webhook_url = $2, webhook_secret = $3 WHERE id = $1"
ADD_EVENT = "INSERT INTO webhook_events (id, job_id, generation, type, body) VALUES ('e', $1, 1, 'job.completed', $2)"
ADD_ATTEMPT = "INSERT INTO webhook_attempts (event_id, task_id, status, answer) VALUES ('e', $1, 500, 'you sent: …')"
ADD_DELIVERY = """
INSERT INTO tasks (id, job_id, kind, input) VALUES ($1, $2, 'deliver', '{"event_id":"e"}')
"""
END_FIRST_TASK = "UPDATE tasks SET state = 'dead', dismissed_at = now(), failure = $2 WHERE job_id = $1"
FAILURE = '{"code":"internal","message":"It broke.","traceback":"File …"}'
BODY = '{"type":"job.completed"}'


async def _job_with_webhook(database: asyncpg.Pool, submit: Submit, blobs: BlobStore) -> tuple[UUID, UUID]:
    """Return a job that was erased an hour ago while its webhook was being delivered, and the delivery's task."""
    job_id, delivery = await _job(database, submit, blobs, "COMPLETED", HOUR_S), new_id()
    await database.execute(ADD_WEBHOOK, job_id, HOOK, SECRET)
    await database.execute(END_FIRST_TASK, job_id, FAILURE)
    await database.execute(ADD_EVENT, job_id, BODY)
    await database.execute(ADD_DELIVERY, delivery, job_id)
    await database.execute(ADD_ATTEMPT, delivery)
    await database.execute("UPDATE jobs SET erased_at = now() - interval '1 hour' WHERE id = $1", job_id)
    return job_id, delivery


async def test_a_tombstone_has_no_address_secret_answer_or_failure(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore
) -> None:
    job_id, delivery = await _job_with_webhook(database, submit, blobs)
    await database.execute("UPDATE tasks SET state = 'done' WHERE id = $1", delivery)

    await run_locked(database, "erase", Eraser(blobs, KEEP, lease_s=0))

    row = await job_row(database, job_id)
    assert (row["webhook_url"], row["webhook_secret"]) == (None, None)
    assert await database.fetchval("SELECT count(*) FROM tasks WHERE job_id = $1 AND failure IS NOT NULL", job_id) == 0
    assert await database.fetchval("SELECT count(*) FROM webhook_attempts WHERE answer IS NOT NULL") == 0


@pytest.mark.parametrize("is_delivered", [True, False])
async def test_the_end_of_a_delivery_removes_the_address_of_an_erased_job(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore, claim_task: Claim, *, is_delivered: bool
) -> None:
    job_id, delivery = await _job_with_webhook(database, submit, blobs)
    await run_locked(database, "erase", Eraser(blobs, KEEP, lease_s=0))
    row = await job_row(database, job_id)
    assert (row["webhook_url"], row["webhook_secret"]) == (HOOK, SECRET)  # the delivery still needs them

    attempt_id = await database.fetchval("SELECT id FROM webhook_attempts")
    attempt = DeliveryAttempt(id=attempt_id, duration_ms=1, status=200 if is_delivered else 410, answer="you sent: …")
    refused = Failure(code=FailureCode.WEBHOOK_REFUSED, message="It is gone.")
    outcome = Delivered(attempt) if is_delivered else NotDelivered(attempt, refused)
    await settle(database, await claim_task(delivery), outcome, policy=RetryPolicy(waits_s=(), longest_retry_after_s=0))

    row = await job_row(database, job_id)
    assert (row["webhook_url"], row["webhook_secret"]) == (None, None)
    assert await database.fetchval("SELECT answer FROM webhook_attempts") is None


ADD_EDITS = """
INSERT INTO transcript_edits (job_id, version, generation, text_generation, changes, bytes, edits)
VALUES ($1, 1, 1, 1, 1, 2, '{}')
"""


async def test_corrections_are_erased_with_their_jobs(database: asyncpg.Pool, submit: Submit, blobs: BlobStore) -> None:
    old = await _job(database, submit, blobs, "COMPLETED", 2 * HOUR_S)
    young = await _job(database, submit, blobs, "COMPLETED", 0)
    erased_by_an_old_ingest = await _job(database, submit, blobs, "COMPLETED", 0)
    for job_id in (old, young, erased_by_an_old_ingest):
        await database.execute(ADD_EDITS, job_id)
    await database.execute("UPDATE jobs SET erased_at = now() WHERE id = $1", erased_by_an_old_ingest)

    retention = Retention(jobs_s=HOUR_S, audio_s=0, webhook_log_s=1)
    await run_locked(database, "erase", Eraser(blobs, retention, lease_s=0))

    assert [row["job_id"] for row in await database.fetch("SELECT job_id FROM transcript_edits")] == [young]


NO_REDRIVE = {
    "it failed before it was split": "UPDATE jobs SET chunk_count = 0, chunk_generation = NULL WHERE id = $1",
    "its dead letter was dismissed": "UPDATE tasks SET dismissed_at = now() WHERE job_id = $1 AND kind = 'chunk'",
    "its audio was erased": "UPDATE jobs SET audio_erased_at = now() WHERE id = $1",
    "it was redriven from the start": "UPDATE jobs SET status = 'QUEUED', generation = 2, chunk_generation = NULL "
    "WHERE id = $1",
}


@pytest.mark.parametrize("reason", NO_REDRIVE)
async def test_chunks_that_no_redrive_can_use_are_collected(
    reason: str, database: asyncpg.Pool, submit: Submit, blobs: BlobStore, storage_url: str
) -> None:
    job_id = await _failed_job(database, submit, blobs, 0)
    await database.execute(NO_REDRIVE[reason], job_id)
    _make_old(storage_url)

    await run_locked(database, "orphans", _orphans(database, blobs))

    assert _files(storage_url) == {blob_keys.source(job_id), *_results(job_id)}


async def test_chunks_of_failed_jobs_are_kept_for_a_time(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore, storage_url: str
) -> None:
    old, young = [await _failed_job(database, submit, blobs, ended) for ended in (2 * HOUR_S, 0)]
    _make_old(storage_url)
    bounds = ChunkBounds(kept_s=HOUR_S)

    await run_locked(database, "orphans", _orphans(database, blobs, bounds))

    chunks = {key for key in _files(storage_url) if "/chunks/" in key}
    assert chunks == {blob_keys.chunk_audio(young, 1, 0)}
    assert (await job_row(database, old))["chunk_count"] == 0  # a redrive starts from the source
    assert (await job_row(database, young))["chunk_count"] == 1


async def test_chunks_of_failed_jobs_are_kept_up_to_a_size(
    database: asyncpg.Pool, submit: Submit, blobs: BlobStore, storage_url: str
) -> None:
    jobs = [await _failed_job(database, submit, blobs, ended) for ended in (30, 20, 10)]
    for job_id in jobs:
        await blobs.put(blob_keys.chunk_denoised(job_id, 1, 0), b"x" * 9)
    _make_old(storage_url)

    collector = _orphans(database, blobs, ChunkBounds(most_bytes=20))
    await run_locked(database, "orphans", collector)

    chunks = {blob_keys.job_of(key) for key in _files(storage_url) if "/chunks/" in key}
    assert chunks == set(jobs[1:])
    assert all(blob_keys.source(job_id) in _files(storage_url) for job_id in jobs)


def test_the_oldest_failed_jobs_are_beyond_the_bounds_first() -> None:
    now = dt.datetime.now(dt.UTC)
    jobs = [KeptChunks(new_id(), now - dt.timedelta(seconds=age_s), 10) for age_s in (3, 1, 2)]
    ids = [one.job_id for one in jobs]

    assert beyond_bounds(jobs, since=now - dt.timedelta(seconds=9), most_bytes=30) == []
    assert beyond_bounds(jobs, since=now - dt.timedelta(seconds=9), most_bytes=20) == [ids[0]]
    assert beyond_bounds(jobs, since=now - dt.timedelta(seconds=1.5), most_bytes=99) == [ids[2], ids[0]]
    assert beyond_bounds(jobs, since=now - dt.timedelta(seconds=9), most_bytes=0) == [ids[1], ids[2], ids[0]]
