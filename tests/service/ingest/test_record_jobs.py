"""Concurrent jobs are committed together, and each upload gets its own outcome."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError
from ingest_service.settings import IngestSettings
from ingest_service.uploads.commit import COMMITTERS, JobRecorder
from ingest_service.uploads.job_row import JobRow
from shared.blobs import blob_keys
from shared.ids import new_id
from shared.schemas.states import JobStatus
from shared.secret import Secret
from tests.service.ingest.test_failpoints import SLOW_COMMIT
from tests.support.ingest.proxy import proxied
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

WAV_TYPE = {"Content-Type": "audio/wav"}


@pytest_asyncio.fixture
async def recorder(ingest: Ingest) -> AsyncIterator[JobRecorder]:
    async with Database.opened(ingest.settings.database_url.reveal()) as database:
        yield JobRecorder(database)


def row(**changes: Any) -> JobRow:
    """The row of an uploaded job."""
    plain = JobRow(
        job_id=new_id(),
        tenant="default",
        options_json="{}",
        metadata_json=None,
        webhook_url=None,
        webhook_secret=None,
        filename="talk.wav",
        container="wav",
        source_bytes=32044,
        source_sha256="0" * 64,
        task_id=new_id(),
    )
    return plain._replace(**changes)


async def recorded(ingest: Ingest) -> set[Any]:
    """The ids of jobs that have their first task."""
    jobs = await ingest.sql("SELECT job_id FROM tasks JOIN jobs ON jobs.id = job_id WHERE state = 'dispatched'")
    return {job["job_id"] for job in jobs}


async def test_concurrent_uploads_are_all_committed_with_their_own_bytes(ingest: Ingest) -> None:
    sounds = [wav(250 * number) + bytes([number]) for number in range(1, 200)]

    ids = await asyncio.gather(*(ingest.submit(sound, metadata=str(len(sound))) for sound in sounds))

    jobs = {str(job["id"]): job for job in await ingest.sql("SELECT * FROM jobs")}
    assert set(jobs) == set(ids)
    for job_id, sound in zip(ids, sounds, strict=True):
        job = jobs[job_id]
        assert (job["status"], job["metadata"]) == (JobStatus.QUEUED, str(len(sound)))
        assert (job["source_bytes"], job["source_sha256"]) == (len(sound), hashlib.sha256(sound).hexdigest())
        assert await ingest.blobs.get(blob_keys.source(UUID(str(job_id)))) == sound
    assert {str(job_id) for job_id in await recorded(ingest)} == set(ids)


async def test_concurrent_rows_share_a_commit(ingest: Ingest, recorder: JobRecorder) -> None:
    batches: list[int] = []
    recorder.on_batch = batches.append
    rows = [row() for _ in range(50)]

    await asyncio.gather(*(recorder.record(each) for each in rows))

    assert await recorded(ingest) == {each.job_id for each in rows}
    assert sum(batches) == len(rows)
    assert len(batches) <= COMMITTERS


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"job_id": None}, asyncpg.UniqueViolationError),  # the id of an existing job
        ({"filename": "a\x00b"}, asyncpg.PostgresError),
        ({"filename": "\ud800"}, Exception),  # refused by the driver before it sends anything
        ({"options_json": None}, asyncpg.NotNullViolationError),
    ],
)
async def test_a_rejected_row_does_not_affect_the_others(
    ingest: Ingest, recorder: JobRecorder, fault: dict[str, Any], error: type[Exception]
) -> None:
    first = row()
    await recorder.record(first)
    good = [row() for _ in range(20)]
    bad = row(**{name: value or (first.job_id if name == "job_id" else None) for name, value in fault.items()})

    outcomes = await asyncio.gather(
        *(recorder.record(each) for each in [*good[:10], bad, *good[10:]]), return_exceptions=True
    )

    (refusal,) = [outcome for outcome in outcomes if outcome is not None]
    assert outcomes.index(refusal) == 10
    assert isinstance(refusal, error)
    assert await recorded(ingest) == {each.job_id for each in [first, *good]}


@asynccontextmanager
async def commits_that_wait(ingest: Ingest) -> AsyncIterator[None]:
    """Every COMMIT of a job waits until the block ends."""
    async with ingest.transaction() as connection:
        await connection.execute(SLOW_COMMIT)
    async with ingest.transaction() as obstacle:
        await obstacle.execute("SELECT pg_advisory_xact_lock(1)")
        yield


async def begun(ingest: Ingest, recorder: JobRecorder, job: JobRow, before: int) -> asyncio.Task[None]:
    """A row whose COMMIT waits behind `before` others, each a batch of its own."""
    task = asyncio.create_task(recorder.record(job))

    async def waits() -> bool:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return len(await ingest.sql(waiting)) > before

    await until(waits)
    return task


async def test_a_row_cancelled_before_its_commit_is_not_written_and_one_cancelled_during_it_is_unknown(
    ingest: Ingest, recorder: JobRecorder
) -> None:
    rows = [row() for _ in range(COMMITTERS + 2)]
    async with commits_that_wait(ingest):
        committing = [await begun(ingest, recorder, each, number) for number, each in enumerate(rows[:COMMITTERS])]
        waiting, patient = [asyncio.create_task(recorder.record(each)) for each in rows[COMMITTERS:]]
        await asyncio.sleep(0)  # both wait in the queue
        waiting.cancel()
        committing[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(CommitUnknownError):
            await committing[0]
    await asyncio.gather(*committing[1:], patient)
    assert await recorded(ingest) == {each.job_id for each in rows} - {rows[-2].job_id}


async def test_terminated_backends_leave_no_202_without_a_job(settings: IngestSettings) -> None:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headrace-ingest'"
    async with serving(settings) as ingest:
        promised = []
        for _ in range(10):
            uploads = [asyncio.create_task(ingest.post(wav(), headers=WAV_TYPE)) for _ in range(30)]
            await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
            await ingest.sql(ended)
            answers = await asyncio.gather(*uploads)
            assert {status for status, _ in answers} <= {202, 503}
            promised += [body["job_id"] for status, body in answers if status == 202]
        jobs = {str(job_id) for job_id in await recorded(ingest)}
        stored = ingest.stored_jobs()
        assert promised
        assert set(promised) <= jobs <= stored


async def test_while_postgres_is_frozen_queued_rows_fail_after_one_timeout(settings: IngestSettings) -> None:
    """Each commit on a frozen server takes its whole timeout; a row behind several fails after one timeout."""
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        serving(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        await ingest.submit(wav())
        postgres.freeze()
        async with asyncio.timeout(15):
            answers = await asyncio.gather(*(ingest.post(wav(), headers=WAV_TYPE) for _ in range(20)))
        assert {status for status, _ in answers} == {503}
        postgres.thaw()
