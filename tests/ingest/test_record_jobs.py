"""Jobs that are handed in at the same moment are committed together, and each upload learns what became of its own."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError
from ingest_service.settings import IngestSettings
from ingest_service.uploads.commit import COMMITTERS, JobRecorder, JobRow
from shared.ids import new_id
from shared.schemas.states import JobStatus
from tests.ingest.proxy import proxied
from tests.ingest.serving import Ingest, serving, until
from tests.ingest.sounds import wav
from tests.ingest.test_failpoints import SLOW_COMMIT

WAV_TYPE = {"Content-Type": "audio/wav"}


@pytest_asyncio.fixture
async def recorder(ingest: Ingest) -> AsyncIterator[JobRecorder]:
    async with Database.opened(ingest.settings.database_url) as database:
        yield JobRecorder(database)


def row(**changes: Any) -> JobRow:
    """A job as an upload would record it."""
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


async def test_many_uploads_at_once_are_all_recorded_with_their_own_bytes(ingest: Ingest) -> None:
    sounds = [wav(250 * number) + bytes([number]) for number in range(1, 200)]

    ids = await asyncio.gather(*(ingest.submit(sound, metadata=str(len(sound))) for sound in sounds))

    jobs = {str(job["id"]): job for job in await ingest.sql("SELECT * FROM jobs")}
    assert set(jobs) == set(ids)
    for job_id, sound in zip(ids, sounds, strict=True):
        job = jobs[job_id]
        assert (job["status"], job["metadata"]) == (JobStatus.QUEUED, str(len(sound)))
        assert (job["source_bytes"], job["source_sha256"]) == (len(sound), hashlib.sha256(sound).hexdigest())
        assert await ingest.blobs.get(f"jobs/{job_id}/source") == sound
    assert {str(job_id) for job_id in await recorded(ingest)} == set(ids)


async def test_rows_of_the_same_moment_share_a_commit(ingest: Ingest, recorder: JobRecorder) -> None:
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
        ({"job_id": None}, asyncpg.UniqueViolationError),  # that of a job which is there already
        ({"filename": "a\x00b"}, asyncpg.PostgresError),
        ({"filename": "\ud800"}, Exception),  # refused by the driver, before it sends anything
        ({"options_json": None}, asyncpg.NotNullViolationError),
    ],
)
async def test_a_row_that_is_refused_harms_no_other(
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
    """A row whose COMMIT waits as those `before` it do: each is a batch of its own."""
    task = asyncio.create_task(recorder.record(job))

    async def waits() -> bool:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return len(await ingest.sql(waiting)) > before

    await until(waits)
    return task


async def test_who_is_cancelled_before_its_turn_is_not_recorded_and_who_is_cancelled_in_it_does_not_know(
    ingest: Ingest, recorder: JobRecorder
) -> None:
    rows = [row() for _ in range(COMMITTERS + 2)]
    async with commits_that_wait(ingest):
        committing = [await begun(ingest, recorder, each, number) for number, each in enumerate(rows[:COMMITTERS])]
        waiting, patient = [asyncio.create_task(recorder.record(each)) for each in rows[COMMITTERS:]]
        await asyncio.sleep(0)  # both stand in the queue
        waiting.cancel()
        committing[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(CommitUnknownError):
            await committing[0]
    await asyncio.gather(*committing[1:], patient)
    assert await recorded(ingest) == {each.job_id for each in rows} - {rows[-2].job_id}


async def test_backends_that_are_ended_in_the_middle_leave_no_202_without_its_job(settings: IngestSettings) -> None:
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
        stored = {file.parent.name for file in ingest.stored_files()}
        assert promised
        assert set(promised) <= jobs <= stored


async def test_when_postgres_goes_without_a_word_nobody_waits_for_those_before_him(settings: IngestSettings) -> None:
    """Each commit of a frozen server takes its whole time; who queues behind several is told after one."""
    async with proxied(settings.database_url) as postgres, serving(settings, database_url=postgres.url) as ingest:
        await ingest.submit(wav())
        postgres.freeze()
        async with asyncio.timeout(15):
            answers = await asyncio.gather(*(ingest.post(wav(), headers=WAV_TYPE) for _ in range(20)))
        assert {status for status, _ in answers} == {503}
        postgres.thaw()
