"""Many jobs are erased from a bucket in few requests, and one bad key keeps no other job."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web

from processor_service.maintenance.erase import Eraser, Retention
from processor_service.maintenance.loop import run_locked
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.blobs.erase_blobs import JOB_BLOBS, JobBlobs, erase_blobs, job_blobs
from shared.ids import PLAIN, SPREADING, new_id
from tests.service.processor.conftest import INSERT_JOB, database
from tests.support.storage.bucket import Bucket
from tests.support.storage.fixtures import set_environment
from tests.support.storage.front import Front
from tests.support.storage.stores import Store, environment

__all__ = ["database"]  # a fixture

KEEP = Retention(jobs_s=0, audio_s=0, webhook_log_s=3600)
LATER_S = 600.0
ERASED = """
UPDATE jobs SET status = 'COMPLETED', completed_at = now(), chunk_count = $3, peaks_generation = 1, duration_s = 4000,
    erased_at = now() - make_interval(secs => $2)
WHERE id = $1
"""
ADD_TASK = "INSERT INTO tasks (id, job_id, kind, state, dispatch_no) VALUES ($1, $2, 'prepare', 'done', $3)"
REFUSAL = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
KEY = re.compile(rb"<Key>([^<]+)</Key>")


class StrictFront(Front):
    """Counts requests, and refuses to delete the keys in `kept`. With `is_out` it refuses all."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.asked: list[str] = []
        self.kept: set[str] = set()
        self.is_out = False

    async def _answer(self, request: web.Request) -> web.Response:
        is_listing = request.method == "GET" and "list-type" in request.query
        self.asked.append("LIST" if is_listing else request.method)
        named = {key.decode() for key in KEY.findall(await request.read())}
        if self.is_out or any(key.endswith(one) for key in named for one in self.kept):
            return web.Response(status=403, text=REFUSAL, content_type="application/xml")
        return await super()._answer(request)


@pytest_asyncio.fixture
async def front(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StrictFront]:
    """Stores that are opened now connect to it."""
    async with StrictFront(bucket.endpoint).listening() as front:
        set_environment(monkeypatch, environment(front.url))
        assert isinstance(front, StrictFront)
        yield front


async def _erase(blobs: BlobStore, jobs: Iterable[JobBlobs]) -> dict[UUID, BlobStoreError]:
    return await erase_blobs(blobs, list(jobs), until_s=asyncio.get_running_loop().time() + LATER_S)


async def test_the_keys_of_many_jobs_are_deleted_with_a_thousand_a_request(bucket: Bucket, front: StrictFront) -> None:
    blobs, jobs = BlobStore(bucket.url), [JobBlobs(new_id(), 0) for _ in range(500)]
    for job in jobs[::50]:
        await blobs.put_small(blob_keys.source(job.job_id), b"x")
    front.asked.clear()

    assert await _erase(blobs, jobs) == {}

    assert front.asked == ["POST"] * 3  # 5 keys each
    assert await bucket.keys() == []


@pytest.mark.parametrize("version", [PLAIN, SPREADING])
async def test_a_job_whose_keys_are_not_known_is_listed(store: Store, version: int) -> None:
    unknown, other = new_id(version), new_id(version)
    for key in [*blob_keys.all_of_job(unknown, chunks=2), blob_keys.chunk_audio(unknown, 3, 7)]:
        await store.blobs.put_small(key, b"x")
    await store.blobs.put_small(blob_keys.source(other), b"x")

    assert await _erase(store.blobs, [JobBlobs(unknown), JobBlobs(new_id(version))]) == {}

    assert await store.contents() == [blob_keys.source(other)]


@pytest.mark.parametrize("version", [PLAIN, SPREADING])
async def test_a_job_whose_keys_are_known_is_deleted_whole(store: Store, version: int) -> None:
    known, other = new_id(version), new_id(version)
    for key in [*blob_keys.all_of_job(known, chunks=3), blob_keys.source(other)]:
        await store.blobs.put_small(key, b"x")

    assert await _erase(store.blobs, [JobBlobs(known, 3)]) == {}

    assert await store.contents() == [blob_keys.source(other)]


async def test_a_key_that_cannot_be_deleted_keeps_no_other(bucket: Bucket, front: StrictFront) -> None:
    blobs, jobs = BlobStore(bucket.url, retry_s=0), [JobBlobs(new_id(), 0) for _ in range(40)]
    for job in jobs:
        await blobs.put_small(blob_keys.source(job.job_id), b"x")
    bad = [jobs[3].job_id, jobs[38].job_id]
    front.kept = {blob_keys.source(one) for one in bad}

    left = await _erase(blobs, jobs)

    assert set(left) == set(bad)
    assert all("AccessDenied" in str(error) for error in left.values())
    assert sorted(await bucket.keys()) == sorted(map(blob_keys.source, bad))


async def test_an_outage_is_an_error_and_not_asked_key_by_key(bucket: Bucket, front: StrictFront) -> None:
    blobs = BlobStore(bucket.url, retry_s=0)
    front.is_out = True
    with pytest.raises(BlobStoreError):
        await _erase(blobs, [JobBlobs(new_id(), 0) for _ in range(40)])
    assert front.asked == ["POST", "LIST"]


async def test_no_request_starts_after_the_time_of_a_run(bucket: Bucket, front: StrictFront) -> None:
    blobs, job = BlobStore(bucket.url), JobBlobs(new_id(), 0)
    front.asked.clear()
    left = await erase_blobs(blobs, [job, JobBlobs(new_id())], until_s=asyncio.get_running_loop().time())
    assert (len(left), front.asked) == (2, [])


async def _erased_job(
    database: asyncpg.Pool, blobs: BlobStore, *, chunks: int = 0, stored: int = 0, dispatches: int = 1
) -> UUID:
    job_id = new_id()
    await database.execute(INSERT_JOB, job_id, None)
    await database.execute(ADD_TASK, new_id(), job_id, dispatches)
    await database.execute(ERASED, job_id, LATER_S, chunks)
    for key in blob_keys.all_of_job(job_id, chunks=stored):
        await blobs.put_small(key, b"x")
    return job_id


NO_PEAKS = "peaks_generation = NULL"
AN_HOUR = "duration_s = 3600"
SHORT = "duration_s = 30"
PART = """options = '{"start":5000}', duration_s = 30"""
NOT_DENOISED = """options = '{"denoise":false}'"""
OVERVIEW, DENOISED = {blob_keys.peaks_overview}, {blob_keys.denoised, partial(blob_keys.chunk_denoised, ordinal=0)}


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        (None, set()),
        (AN_HOUR, set()),
        (PART, set()),
        (SHORT, OVERVIEW),
        (NO_PEAKS, OVERVIEW | {blob_keys.peaks}),
        (NOT_DENOISED, DENOISED),
        (f"{NOT_DENOISED}, {SHORT}", OVERVIEW | DENOISED),
    ],
)
async def test_a_key_is_left_out_only_if_the_job_cannot_have_it(
    database: asyncpg.Pool, facts: str | None, missing: set[Callable[[UUID, int], str]]
) -> None:
    job_id = new_id()
    await database.execute(INSERT_JOB, job_id, None)
    await database.execute(ADD_TASK, new_id(), job_id, 1)
    await database.execute(ERASED, job_id, LATER_S, 1)
    if facts:
        await database.execute(f"UPDATE jobs SET {facts} WHERE id = $1", job_id)  # noqa: S608 - from above

    found = job_blobs(await database.fetchrow(f"SELECT {JOB_BLOBS} FROM jobs WHERE id = $1", job_id))  # noqa: S608

    every = set(blob_keys.all_of_job(job_id, chunks=1))
    assert every - set(found.keys) == {key(job_id, 1) for key in missing}


async def test_a_job_of_several_attempts_is_listed(database: asyncpg.Pool, s3: Store) -> None:
    for stored, dispatches in ((2, 1), (5, 2)):  # another attempt may have split the audio into more chunks
        await _erased_job(database, s3.blobs, chunks=2, stored=stored, dispatches=dispatches)

    await run_locked(database, "erase", Eraser(s3.blobs, KEEP, lease_s=15))

    assert await s3.contents() == []
    assert await database.fetchval("SELECT count(*) FROM jobs WHERE blobs_erased_at IS NULL") == 0


async def test_a_job_with_a_bad_key_is_tried_again_and_keeps_no_other(
    database: asyncpg.Pool, bucket: Bucket, front: StrictFront, caplog: pytest.LogCaptureFixture
) -> None:
    blobs = BlobStore(bucket.url, retry_s=0)
    jobs = [await _erased_job(database, blobs) for _ in range(6)]
    front.kept = {blob_keys.source(jobs[2])}
    eraser = Eraser(blobs, KEEP, lease_s=15)

    await run_locked(database, "erase", eraser)
    await run_locked(database, "erase", eraser)
    left = await database.fetch("SELECT id FROM jobs WHERE blobs_erased_at IS NULL")
    assert ([row["id"] for row in left], caplog.messages.count("blobs_not_erased")) == ([jobs[2]], 1)

    front.kept.clear()
    await run_locked(database, "erase", eraser)
    assert await bucket.keys() == []
    assert await database.fetchval("SELECT count(*) FROM jobs WHERE blobs_erased_at IS NULL") == 0


async def test_several_workers_erase_different_jobs_at_a_time(database: asyncpg.Pool, s3: Store) -> None:
    first, second = [await _erased_job(database, s3.blobs) for _ in range(2)]
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM jobs WHERE id = $1 FOR UPDATE", first)

        async def beside(_: asyncpg.Connection) -> None:
            await run_locked(database, "erase", Eraser(s3.blobs, KEEP, lease_s=15))

        await run_locked(database, "erase", beside)

    erased = await database.fetch("SELECT id FROM jobs WHERE blobs_erased_at IS NOT NULL")
    assert [row["id"] for row in erased] == [second]
