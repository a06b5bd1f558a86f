"""What we stand on goes away: a clear 5xx and nothing left behind, or, for Redis, no difference to the client."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingest_service.settings import IngestSettings
from shared.blob_store import BlobStore, BlobStoreFullError
from tests.ingest.serving import serving, until
from tests.ingest.sounds import wav

NOBODY = "127.0.0.1:1"
WAV_TYPE = {"Content-Type": "audio/wav"}


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Takes connections and never says a word, as a frozen process does."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


async def test_without_redis_uploads_are_taken(settings: IngestSettings) -> None:
    async with serving(settings, redis_url=f"redis://{NOBODY}") as ingest:
        await ingest.submit(wav())
        assert await ingest.job_count() == 1
        assert await ingest.get("/health/ready") == (200, {"ready": True, "away": ["redis"]})


async def test_a_frozen_redis_does_not_hold_up_an_upload(settings: IngestSettings) -> None:
    async with silent_server() as address, serving(settings, redis_url=f"redis://{address}") as ingest:
        async with asyncio.timeout(0.9):  # less than one ring may take
            await asyncio.gather(*(ingest.submit(wav()) for _ in range(5)))
        assert (await ingest.get("/health/ready"))[1] == {"ready": True, "away": ["redis"]}


async def test_without_postgres_nothing_is_promised(settings: IngestSettings) -> None:
    async with serving(settings, database_url=f"postgresql://x@{NOBODY}/x") as ingest:
        async with ingest.client.post(ingest.url + "/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert (await answer.json(content_type=None))["code"] == "database_unavailable"
        assert ingest.stored_files() == []
        assert (await ingest.get("/v1/jobs"))[0] == 503
        assert await ingest.get("/health/ready") == (503, {"ready": False, "away": ["database"]})
        assert (await ingest.get("/health/live"))[0] == 200


async def test_a_frozen_postgres_is_one_that_is_away(settings: IngestSettings) -> None:
    async with silent_server() as address, serving(settings, database_url=f"postgresql://x@{address}/x") as ingest:
        async with asyncio.timeout(9):
            status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (503, "database_unavailable")
        assert ingest.stored_files() == []


async def test_a_connection_that_froze_leaves_nothing_when_it_thaws(settings: IngestSettings) -> None:
    """The statement reaches the backend and is never answered: what it did must be rolled back."""
    async with serving(settings) as ingest:
        await ingest.submit(wav())
        ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'headrace-ingest'"
        (backend,) = await ingest.sql(ours)
        os.kill(backend["pid"], signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        finally:
            os.kill(backend["pid"], signal.SIGCONT)
        assert (status, problem["code"]) == (503, "database_unavailable")

        async def is_over() -> bool:
            return backend["pid"] not in [row["pid"] for row in await ingest.sql(ours)]

        await until(is_over)
        assert (len(ingest.stored_files()), await ingest.job_count()) == (1, 1)
        await ingest.submit(wav())


async def test_connections_that_broke_are_replaced(settings: IngestSettings) -> None:
    async with serving(settings) as ingest:
        await ingest.submit(wav())
        await ingest.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'headrace%'"
        )

        async def taken() -> bool:
            return (await ingest.post(wav(), headers=WAV_TYPE))[0] == 202

        await until(taken)
        assert len(ingest.stored_files()) == await ingest.job_count()


async def test_a_row_that_is_refused_takes_its_blob_along(settings: IngestSettings) -> None:
    """A defect of ours: 500 without a trace of it, and nothing is left."""
    async with serving(settings) as ingest:
        await ingest.sql("ALTER TABLE jobs ADD CONSTRAINT refuse CHECK (container <> 'wav')")
        status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (500, "internal")
        assert "refuse" not in str(problem)
        await ingest.assert_nothing_is_left()


def replace_by_file(storage_url: str) -> Path:
    folder = Path(urlsplit(storage_url).path)
    shutil.rmtree(folder)
    folder.write_text("a file where the folder was")
    return folder


async def test_a_store_that_is_gone(settings: IngestSettings) -> None:
    async with serving(settings) as ingest:
        folder = replace_by_file(settings.storage_url)
        status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (503, "storage_unavailable")
        assert str(folder) not in str(problem)
        assert await ingest.job_count() == 0


async def test_a_full_disk(settings: IngestSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's own error for it is tested with the store; a full disk cannot be had without privileges."""

    async def full(*_: object) -> None:
        raise BlobStoreFullError("No space left on device (os error 28)")

    monkeypatch.setattr(BlobStore, "put", full)
    async with serving(settings) as ingest:
        status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (507, "storage_full")
        await ingest.assert_nothing_is_left()
