"""A completed job with a transcript and targets, and a writer of its results."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from processor_service.maintenance.loop import run_locked
from processor_service.results.write import ResultWriter
from processor_service.settings import ProcessorSettings
from processor_service.webhooks.send import open_webhook_session
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from shared.schemas.results_to import targets_of
from shared.schemas.transcript import Segment, Transcript
from shared.secret import Secret
from tests.service.processor.conftest import claim_task, database, submit

__all__ = ["claim_task", "database", "submit"]  # fixtures

INSERT_JOB = """
INSERT INTO jobs (id, tenant, options, container, source_bytes, source_sha256, status, completed_at)
VALUES ($1, $2, '{"results_formats":"json"}', 'wav', 4, 'ab', 'COMPLETED', now())
"""
INSERT_RESULT = """
INSERT INTO result_writes (job_id, format, tenant, target, shown, due_at) VALUES ($1, $2, $3, $4, $5, now())
"""
COME_DUE = "UPDATE result_writes SET due_at = now() WHERE due_at IS NOT NULL"
TRANSCRIPT = Transcript(
    text="Hello there.",
    language="en",
    duration=2.0,
    segments=(Segment(id=0, start=0.5, end=1.5, text=" Hello there.", confidence=0.9, no_speech_prob=0.0),),
)

Complete = Callable[..., Awaitable[UUID]]
Write = Callable[..., Awaitable[None]]
Opened = Callable[..., AbstractAsyncContextManager[ResultWriter]]


def settings_with(**values: Any) -> ProcessorSettings:
    chosen = {"webhook_allow_private": "loopback", "storage_retry_s": 0.5, **values}
    return ProcessorSettings(database_url=Secret(""), redis_url=Secret(""), storage_url="", **chosen)


@pytest.fixture
def blobs(storage_url: str) -> BlobStore:
    return BlobStore(storage_url)


@pytest.fixture
def complete(database: asyncpg.Pool, blobs: BlobStore) -> Complete:
    """Insert a completed job whose results are due; return its id. `to`: a folder, or URLs by format."""

    async def complete_one(
        to: str | Mapping[str, str], formats: tuple[str, ...] = ("json",), *, tenant: str = "acme", text: str = ""
    ) -> UUID:
        job_id = new_id()
        await database.execute(INSERT_JOB, job_id, tenant)
        stored = msgspec.structs.replace(TRANSCRIPT, text=text or TRANSCRIPT.text)
        await blobs.put(blob_keys.transcript(job_id, 1), msgspec.json.encode(stored))
        given = to if isinstance(to, str) else msgspec.json.encode(to).decode()
        for target in targets_of(given, formats, job_id):
            await database.execute(INSERT_RESULT, job_id, target.format, tenant, target.url.reveal(), target.shown)
        return job_id

    return complete_one


@pytest.fixture
def opened(database: asyncpg.Pool, blobs: BlobStore) -> Opened:
    @asynccontextmanager
    async def open_one(**values: Any) -> AsyncIterator[ResultWriter]:
        settings = settings_with(**values)
        async with open_webhook_session(settings) as http, ResultWriter.opened(database, blobs, http, settings) as one:
            yield one

    return open_one


@pytest.fixture
def write(database: asyncpg.Pool, opened: Opened) -> Write:
    """Run the loop once, after all waits are over, and wait for its attempts."""

    async def write_once(**values: Any) -> None:
        await database.execute(COME_DUE)
        async with opened(**values) as writer:
            await run_locked(database, "result_writes", writer)
            await writer.settled()

    return write_once


async def rows_of(database: asyncpg.Pool, job_id: UUID) -> dict[str, Any]:
    """Return the rows of a job's results by format."""
    rows = await database.fetch("SELECT * FROM result_writes WHERE job_id = $1", job_id)
    return {row["format"]: row for row in rows}
