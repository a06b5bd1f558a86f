"""A job with an `audio_url`, through its fetch and `prepare` with a real child, to what the client sees."""

import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import numpy as np
import pytest
import pytest_asyncio
import soundfile

from processor_service.audio.write_chunks import PreparedAudio
from processor_service.compute.pool import ComputePool
from processor_service.models.cache import ModelCache
from processor_service.sources.fetch_source import SourceFetcher
from processor_service.stages.prepare import prepare
from processor_service.stages.work import Work
from processor_service.tasks.claim import ClaimedTask, claim
from processor_service.tasks.outcomes import Fetched, Outcome
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from shared.schemas.transcript import Transcript
from tests.service.processor.conftest import job_row, task_row
from tests.service.sources.conftest import ClaimUrl, FetcherWith
from tests.support.sources.server import ETAG, Server, answering, redirecting, serving
from tests.system.compute.conftest import RATE_HZ, Model, Pool

NO_MORE = RetryPolicy(waits_s=(), longest_retry_after_s=0)
ONE_MORE = RetryPolicy(waits_s=(3600.0,), longest_retry_after_s=600)

Attempt = Callable[..., Awaitable[Outcome]]


def talk(seconds: int = 3) -> bytes:
    file = io.BytesIO()
    samples = 0.1 * np.random.default_rng(0).standard_normal(seconds * RATE_HZ)
    soundfile.write(file, samples, RATE_HZ, format="WAV")
    return file.getvalue()


@pytest_asyncio.fixture
async def pool(started: Pool) -> AsyncIterator[ComputePool]:
    async with started() as pool:
        yield pool


@pytest.fixture
def attempt(
    pool: ComputePool, fetcher_with: FetcherWith, model: Model, database: asyncpg.Pool, tmp_path: Path
) -> Attempt:
    """Fetch the source of a claimed task, if it has a URL, and settle it; then prepare it, if it was fetched."""

    async def attempt_one(task: ClaimedTask, *, policy: RetryPolicy = NO_MORE, **values: object) -> Outcome:
        fetcher = await fetcher_with(transcriber="scripted", model=str(model.folder), slowest_speed=10.0, **values)
        if task.to_fetch:
            outcome = await fetcher.leases.hold(task, fetcher.fetch(task))
            await settle(database, task, outcome, policy=policy)
            if not isinstance(outcome, Fetched):
                return outcome
            task = await claim_again(database, task.id)
        return await prepare_one(fetcher, task, policy)

    async def prepare_one(fetcher: SourceFetcher, task: ClaimedTask, policy: RetryPolicy) -> Outcome:
        folder = tmp_path / str(new_id())
        folder.mkdir()

        async def record_audio(audio: PreparedAudio) -> None:
            await fetcher.leases.record_audio(task, audio)

        async with pool.slot() as slot:
            work = Work(
                task=task,
                slot=slot,
                blobs=fetcher.blobs,
                models=ModelCache(tmp_path),
                settings=fetcher.settings,
                scratch=folder,
                report_progress=lambda fraction: fetcher.leases.report(task, fraction),
                record_audio=record_audio,
            )
            outcome = await fetcher.leases.hold(task, prepare(work))
        await settle(database, task, outcome, policy=policy)
        return outcome

    return attempt_one


async def claim_again(database: asyncpg.Pool, task_id: UUID) -> ClaimedTask:
    await database.execute(
        "UPDATE tasks SET state = 'dispatched', dispatch_no = dispatch_no + 1, not_before = NULL WHERE id = $1", task_id
    )
    dispatch_no = (await task_row(database, task_id))["dispatch_no"]
    task = await claim(database, task_id, dispatch_no, worker="test", lease_s=15)
    assert task is not None
    return task


async def test_a_url_becomes_a_transcript(
    claim_url: ClaimUrl, attempt: Attempt, database: asyncpg.Pool, blobs: BlobStore
) -> None:
    audio = talk()
    async with Server(serving(audio, ETAG, cut_after=20_000), serving(audio, ETAG)).listening() as server:
        task = await claim_url(server.url)
        await attempt(task)

    job = await job_row(database, task.job_id)
    assert (job["status"], job["container"], job["source_bytes"]) == ("COMPLETED", "wav", len(audio))
    assert job["source_sha256"] == hashlib.sha256(audio).hexdigest()
    assert job["duration_s"] == pytest.approx(3)
    stored = await blobs.get(blob_keys.transcript(task.job_id, 1))
    assert msgspec.json.decode(stored, type=Transcript).text == "tick tick tick"


async def test_a_url_that_is_not_found_fails_the_job(
    claim_url: ClaimUrl, attempt: Attempt, database: asyncpg.Pool
) -> None:
    async with Server(answering(404)).listening() as server:
        task = await claim_url(server.url)
        await attempt(task, policy=ONE_MORE)

    job = await job_row(database, task.job_id)
    assert (job["status"], job["error_code"]) == ("FAILED", "source_refused")
    assert job["error_message"] == "The server of the `audio_url` did not find it (404)."
    assert "s3cret" not in (await task_row(database, task.id))["failure"]


async def test_a_busy_server_is_retried_after_its_retry_after(
    claim_url: ClaimUrl, attempt: Attempt, database: asyncpg.Pool
) -> None:
    async with Server(answering(503, "retry-after: 120"), serving(talk())).listening() as server:
        task = await claim_url(server.url)
        await attempt(task, policy=ONE_MORE)

        (row,) = await database.fetch("SELECT state, not_before - last_failed_at AS wait FROM tasks")
        assert (row["state"], row["wait"].total_seconds()) == ("waiting", 120)

        await attempt(await claim_again(database, task.id))
    assert (await job_row(database, task.job_id))["status"] == "COMPLETED"


async def test_a_redirect_to_a_metadata_service_fails_the_job(
    claim_url: ClaimUrl, attempt: Attempt, database: asyncpg.Pool
) -> None:
    async with Server(redirecting("http://169.254.169.254/latest/meta-data/")).listening() as server:
        task = await claim_url(server.url)
        await attempt(task, policy=ONE_MORE, webhook_allow_private="true")

    job = await job_row(database, task.job_id)
    assert (job["status"], job["error_code"]) == ("FAILED", "source_blocked")


async def test_the_attempt_after_a_fetch_does_not_fetch_again(
    claim_url: ClaimUrl, attempt: Attempt, database: asyncpg.Pool
) -> None:
    async with Server(serving(talk())).listening() as server:
        task = await claim_url(server.url)
        # The audio is longer than allowed: it is fetched, and then fails.
        await attempt(task, max_audio_seconds=1.0)
        assert (await job_row(database, task.job_id))["error_code"] == "audio_too_long"

        await database.execute("UPDATE jobs SET status = 'PROCESSING', error_code = NULL")
        again = await claim_again(database, task.id)
        assert again.source_url is None
        await attempt(again)

    assert (await job_row(database, task.job_id))["status"] == "COMPLETED"
    assert len(server.asked) == 1
