"""A request that waits for its job attaches to the job of an equal request: one job, one source, one quota."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
import pytest_asyncio
from litestar.types import Receive
from redis.asyncio import Redis

from ingest_service.database import Database
from ingest_service.errors import LimitError, RefusedError
from ingest_service.jobs.cancel import cancel_abandoned
from ingest_service.quotas.quota_usage import Quotas
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.settings import IngestSettings
from ingest_service.uploads.free_space import FreeSpace
from ingest_service.uploads.from_url import UrlRules
from ingest_service.uploads.idempotency import IdempotencyKeys, IdempotentSubmitter, StoredResponse
from ingest_service.uploads.job_submitter import AcceptedJob, JobSubmitter
from ingest_service.uploads.notify import DispatchNotifier
from ingest_service.uploads.receive import UploadHead
from shared.blobs.blob_store import BlobStore
from shared.connections.redis_shards import alone
from shared.schemas.states import JobStatus
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import MIB, wav

ATTACH_S = 600.0
URLS = UrlRules(schemes=("https",))
UNLIMITED = Quotas()
LARGE = wav(100_000)  # a body that is streamed


def body(audio: bytes) -> Receive:
    """A request's messages: the audio, in two pieces."""
    pieces = [
        {"type": "http.request", "body": audio[:1000], "more_body": True},
        {"type": "http.request", "body": audio[1000:], "more_body": False},
    ]

    async def receive() -> Any:
        return pieces.pop(0)

    return receive


def head(audio: bytes, **options: str) -> UploadHead:
    return UploadHead(content_type="audio/wav", boundary=None, content_length=len(audio), query=urlencode(options))


class Requests:
    """Submits as the routes do whose clients wait."""

    def __init__(self, submitter: JobSubmitter, database: Database) -> None:
        self.submitter = submitter
        self.keyed = IdempotentSubmitter(submitter, IdempotencyKeys(database, kept_s=60))

    async def submit(self, audio: bytes = wav(), tenant: str = "default", **options: str) -> AcceptedJob:
        return await self.submitter.submit(tenant, head(audio, **options), body(audio), interactive=True, attach=True)


@asynccontextmanager
async def process(settings: IngestSettings, quotas: Quotas = UNLIMITED) -> AsyncIterator[Requests]:
    """What one process of the ingest has."""
    async with Database.opened(settings.database_url.reveal()) as database:
        blobs = BlobStore(settings.storage_url)
        gate = QuotaGate(database, quotas)
        yield Requests(
            JobSubmitter(database, blobs, FreeSpace(blobs, 0), 10 * MIB, URLS, quotas=gate, attach_s=ATTACH_S),
            database,
        )


@pytest_asyncio.fixture
async def requests(settings: IngestSettings) -> AsyncIterator[Requests]:
    async with process(settings) as opened:
        yield opened


async def assert_jobs(ingest: Ingest, *job_ids: UUID) -> None:
    """Assert that there are these jobs, and nothing else: each with a source, a task and its usage."""
    assert {job["id"] for job in await ingest.sql("SELECT id FROM jobs")} == set(job_ids)
    assert len(ingest.stored_files()) == len(job_ids)
    assert len(await ingest.sql("SELECT FROM tasks")) == len(job_ids)
    (used,) = await ingest.sql("SELECT sum(uploads) AS uploads, sum(bytes) AS bytes FROM tenant_usage")
    (stored,) = await ingest.sql("SELECT sum(source_bytes) AS bytes FROM jobs")
    assert (used["uploads"], used["bytes"]) == (len(job_ids), stored["bytes"])


@pytest.mark.parametrize("audio", [wav(), LARGE])
async def test_a_repeat_gets_the_running_job_and_leaves_nothing(
    ingest: Ingest, requests: Requests, audio: bytes
) -> None:
    first = await requests.submit(audio, language="en")
    again = await requests.submit(audio, language="en")
    assert (first.attached, again.attached) == (False, True)
    assert again == AcceptedJob(first.job_id, ())
    await assert_jobs(ingest, first.job_id)
    (job,) = await ingest.sql("SELECT interactive, attached_at IS NOT NULL AS is_attached FROM jobs")
    assert (job["interactive"], job["is_attached"]) == (True, True)


async def test_twenty_equal_requests_at_once_in_two_processes_make_one_job(
    ingest: Ingest, settings: IngestSettings
) -> None:
    async with process(settings) as one, process(settings) as other:
        accepted = await asyncio.gather(*(each.submit(LARGE) for each in (one, other) * 10))
    (job_id,) = {each.job_id for each in accepted}
    assert [each.attached for each in accepted].count(False) == 1
    await assert_jobs(ingest, job_id)


@pytest.mark.parametrize(
    ("audio", "tenant", "options"),
    [
        (wav(1000), "default", {}),
        (wav(), "other", {}),
        (wav(), "default", {"language": "en"}),
        (wav(), "default", {"metadata": "1"}),
        (wav(), "default", {"diarize": "true"}),
    ],
)
async def test_another_tenant_audio_or_option_makes_another_job(
    ingest: Ingest, requests: Requests, audio: bytes, tenant: str, options: dict[str, str]
) -> None:
    first = await requests.submit()
    other = await requests.submit(audio, tenant, **options)
    assert not other.attached
    await assert_jobs(ingest, first.job_id, other.job_id)


@pytest.mark.parametrize(
    ("status", "ended_s", "attached"),
    [
        (JobStatus.QUEUED, None, True),
        (JobStatus.PROCESSING, None, True),
        (JobStatus.COMPLETED, ATTACH_S - 60, True),
        (JobStatus.COMPLETED, ATTACH_S + 1, False),
        (JobStatus.FAILED, 30, True),
        (JobStatus.FAILED, 61, False),
        (JobStatus.CANCELLED, 0, False),
    ],
)
async def test_how_long_a_job_is_attached_to(
    ingest: Ingest, requests: Requests, status: JobStatus, ended_s: float | None, attached: object
) -> None:
    first = await requests.submit()
    await ingest.sql("UPDATE jobs SET status = $1, completed_at = now() - make_interval(secs => $2)", status, ended_s)
    again = await requests.submit()
    assert again.attached is attached
    assert (again.job_id == first.job_id) is attached


async def test_after_a_failure_a_later_repeat_starts_one_new_job(ingest: Ingest, requests: Requests) -> None:
    first = await requests.submit()
    await ingest.sql("UPDATE jobs SET status = 'FAILED', completed_at = now() - interval '2 minutes'")
    second = await requests.submit()
    third = await requests.submit()
    assert (second.attached, third.attached) == (False, True)
    assert first.job_id != second.job_id == third.job_id


async def test_an_erased_job_is_not_attached_to(ingest: Ingest, requests: Requests) -> None:
    first = await requests.submit()
    assert await ingest.delete(f"/v1/jobs/{first.job_id}") == 204
    assert not (await requests.submit()).attached
    assert (await records.job_row(ingest, str(first.job_id)))["attach_key"] is None


async def test_a_job_of_another_route_is_not_attached_to(ingest: Ingest, requests: Requests) -> None:
    other = UUID(await ingest.submit(wav()))
    waiting = await requests.submit()
    repeated = UUID(await ingest.submit(wav()))
    assert not waiting.attached
    await assert_jobs(ingest, other, waiting.job_id, repeated)
    (job,) = await ingest.sql("SELECT interactive, attach_key FROM jobs WHERE id = $1", other)
    assert (job["interactive"], job["attach_key"]) == (False, None)


async def test_a_repeat_during_a_cancel_makes_a_new_job(ingest: Ingest, requests: Requests) -> None:
    """The cancel holds the job's row; the repeat waits for it and then finds the job cancelled."""
    first = await requests.submit()
    async with ingest.transaction() as connection:
        await connection.execute("UPDATE jobs SET status = 'CANCELLED', completed_at = now()")
        repeat = asyncio.create_task(requests.submit())
        await until(ingest.somebody_waits_for_a_lock)
    again = await repeat
    assert not again.attached
    assert again.job_id != first.job_id


async def test_the_second_of_two_requests_makes_the_job_if_the_first_is_rolled_back(
    ingest: Ingest, settings: IngestSettings
) -> None:
    async with process(settings) as one, process(settings) as other:
        async with ingest.transaction() as connection:
            await connection.execute("LOCK TABLE tasks IN EXCLUSIVE MODE")  # the first waits before its commit
            first = asyncio.create_task(one.submit())
            await until(ingest.somebody_waits_for_a_lock)
            second = asyncio.create_task(other.submit())
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
        accepted = await second
    assert not accepted.attached
    await assert_jobs(ingest, accepted.job_id)


async def test_a_repeat_uses_no_quota_and_is_not_refused(
    ingest: Ingest, settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_service.quotas.quota_usage.CACHED_S", 0.0)
    monkeypatch.setattr("ingest_service.quotas.quota_usage.CACHED_WITHOUT_QUOTAS_S", 0.0)
    for quotas in (Quotas(jobs_queued=1), Quotas(bytes_a_day=len(wav()))):
        async with process(settings, quotas) as requests:
            tenant = f"tenant-{quotas.jobs_queued}"
            first = await requests.submit(tenant=tenant)
            assert await requests.submit(tenant=tenant) == AcceptedJob(first.job_id, ())
            with pytest.raises(LimitError):
                await requests.submit(wav(1000), tenant)
    assert await ingest.job_count() == 2


async def test_over_a_quota_nothing_is_received_unless_the_tenant_has_a_job_to_attach_to(
    settings: IngestSettings, ingest: Ingest
) -> None:
    async with process(settings, Quotas(bytes_a_day=10)) as requests:
        received = False

        async def receive() -> Any:
            nonlocal received
            received = True

        with pytest.raises(LimitError):
            await requests.submitter.submit("default", head(wav()), receive, attach=True)
    assert not received
    await ingest.assert_nothing_is_left()


async def test_a_refused_repeat_leaves_nothing(ingest: Ingest, requests: Requests) -> None:
    with pytest.raises(RefusedError):
        await requests.submit(b"no audio" * 100)
    await ingest.assert_nothing_is_left()


async def test_an_idempotency_key_names_the_job_that_was_attached_to(ingest: Ingest, requests: Requests) -> None:
    first = await requests.submit()
    keyed = await requests.keyed.submit("default", "key", head(wav()), body(wav()), interactive=True, attach=True)
    again = await requests.keyed.submit("default", "key", head(wav()), body(wav()), interactive=True, attach=True)
    assert isinstance(keyed, AcceptedJob)
    assert isinstance(again, StoredResponse)
    assert {keyed.job_id, again.job_id} == {first.job_id}
    await assert_jobs(ingest, first.job_id)


async def test_without_attach_equal_requests_make_jobs_as_before(ingest: Ingest, requests: Requests) -> None:
    jobs = [
        await requests.submitter.submit("default", head(wav()), body(wav()), interactive=interactive)
        for interactive in (True, True, False)
    ]
    await assert_jobs(ingest, *(job.job_id for job in jobs))
    rows = await ingest.sql("SELECT interactive, attach_key FROM jobs ORDER BY id")
    assert [(row["interactive"], row["attach_key"]) for row in rows] == [(True, None), (True, None), (False, None)]


async def test_an_abandoned_job_is_not_cancelled_just_after_a_request_attached_to_it(
    settings: IngestSettings, requests: Requests
) -> None:
    """The request's commit comes a moment before it waits for the job."""
    async with serving(settings) as ingest, Database.opened(settings.database_url.reveal()) as database:
        job_id = str((await requests.submit()).job_id)
        await requests.submit()
        async with (
            Redis.from_url(settings.redis_url.reveal()) as redis,
            DispatchNotifier.opened(alone(redis)) as notifier,
        ):
            await cancel_abandoned(database, notifier, "default", job_id)
            assert (await records.job_row(ingest, job_id))["status"] == JobStatus.QUEUED
            await ingest.sql("UPDATE jobs SET attached_at = attached_at - interval '1 minute'")
            await cancel_abandoned(database, notifier, "default", job_id)
    assert (await records.job_row(ingest, job_id))["status"] == JobStatus.CANCELLED
