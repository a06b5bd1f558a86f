"""A job with an `audio_url`, its claimed `prepare` task, and one attempt to fetch its source."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from processor_service.errors import TaskError
from processor_service.settings import ProcessorSettings
from processor_service.sources import download
from processor_service.sources.fetch_source import SourceFetcher
from processor_service.sources.open_url import open_source_session
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.leases import Leases
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from shared.secret import Secret
from tests.service.processor.conftest import Claim, claim_task, database
from tests.system.compute.conftest import model, scratch, started

__all__ = ["claim_task", "database", "model", "scratch", "started"]  # fixtures

SubmitUrl = Callable[..., Awaitable[UUID]]
ClaimUrl = Callable[..., Awaitable[ClaimedTask]]
FetcherWith = Callable[..., Awaitable[SourceFetcher]]
Fetch = Callable[..., Awaitable[bytes]]
Fail = Callable[..., Awaitable[TaskError]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS_S", (0.0, 0.0, 0.0))


@pytest.fixture
def blobs(storage_url: str) -> BlobStore:
    return BlobStore(storage_url)


def settings_with(**values: Any) -> ProcessorSettings:
    """Return settings that allow sources on loopback."""
    chosen = {"webhook_allow_private": "loopback", "fetch_silence_s": 10.0, **values}
    return ProcessorSettings(database_url=Secret(""), redis_url=Secret(""), storage_url="", **chosen)


@pytest.fixture
def submit_url(database: asyncpg.Pool) -> SubmitUrl:
    """Insert a job and its first task as ingest does. Return the task's id."""

    async def submit_one(url: str) -> UUID:
        job_id, task_id = new_id(), new_id()
        await database.execute("INSERT INTO jobs (id, options, source_url) VALUES ($1, '{}', $2)", job_id, url)
        await database.execute("INSERT INTO tasks (id, job_id, kind) VALUES ($1, $2, 'prepare')", task_id, job_id)
        return task_id

    return submit_one


@pytest.fixture
def claim_url(submit_url: SubmitUrl, claim_task: Claim) -> ClaimUrl:
    async def claim_one(url: str) -> ClaimedTask:
        return await claim_task(await submit_url(url))

    return claim_one


@pytest_asyncio.fixture
async def fetcher_with(database: asyncpg.Pool, blobs: BlobStore) -> AsyncIterator[FetcherWith]:
    """Open a fetcher with given settings and a separate session."""
    async with contextlib.AsyncExitStack() as sessions:

        async def one_with(**values: Any) -> SourceFetcher:
            settings = settings_with(**values)
            http = await sessions.enter_async_context(open_source_session(settings))
            return SourceFetcher.open(
                http=http, blobs=blobs, leases=Leases(database, lease_s=15), settings=settings, database=database
            )

        yield one_with


@pytest.fixture
def fetch(claim_url: ClaimUrl, fetcher_with: FetcherWith, blobs: BlobStore) -> Fetch:
    """Fetch a URL for a new job; return the stored bytes."""

    async def fetch_one(url: str, **values: Any) -> bytes:
        task = await claim_url(url)
        await (await fetcher_with(**values)).fetch(task)
        return await blobs.get(blob_keys.source(task.job_id))

    return fetch_one


@pytest.fixture
def fail(claim_url: ClaimUrl, fetcher_with: FetcherWith, blobs: BlobStore) -> Fail:
    """Fail to fetch a URL for a new job; check that nothing is stored; return the error."""

    async def fail_one(url: str, **values: Any) -> TaskError:
        task = await claim_url(url)
        fetcher = await fetcher_with(**values)
        with pytest.raises(TaskError) as caught:
            await fetcher.fetch(task)
        with pytest.raises(BlobNotFoundError):
            await blobs.size(blob_keys.source(task.job_id))
        return caught.value

    return fail_one
