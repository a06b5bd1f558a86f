"""The ingest on a real socket, in the tests' event loop."""

import asyncio
import io
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import uvicorn

from ingest_service.app import create_asgi
from ingest_service.server.serve import Server, bounded_protocol
from ingest_service.server.supervisor import bind
from ingest_service.settings import IngestSettings
from shared.blobs.blob_store import BlobStore
from shared.connections.redis import open_redis
from shared.job_hints import JobHints
from tests.support.servers import as_owner


class Ingest:
    """A running ingest, for clients and operators."""

    def __init__(
        self,
        settings: IngestSettings,
        url: str,
        client: aiohttp.ClientSession,
        stopping: asyncio.Event | None = None,
    ) -> None:
        self.stopping = stopping or asyncio.Event()
        self.settings = settings
        self.url = url
        self.client = client
        self.blobs = BlobStore(settings.storage_url)
        self.record_url = as_owner(settings.database_url.reveal())  # tests see all tenants' rows

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    def stored_files(self) -> list[Path]:
        root = Path(urlsplit(self.settings.storage_url).path)
        # A folder may disappear during the walk: `os.walk` ignores that, `rglob` raises.
        return [Path(folder, name) for folder, _, names in os.walk(root) for name in names]

    def lose_store(self) -> Path:
        """Replace the blob store's folder by a file."""
        folder = Path(urlsplit(self.settings.storage_url).path)
        shutil.rmtree(folder)
        folder.write_text("a file where the folder was")
        return folder

    async def sql(self, query: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.record_url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def hint(self, *job_ids: str, tenant: str = "default") -> None:
        """Publish that jobs have changed, as the processor does after each commit."""
        async with open_redis(self.settings.redis_url.reveal()) as redis, JobHints.opened(redis) as hints:
            for job_id in job_ids:
                hints.changed(UUID(str(job_id)), tenant)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.record_url)
        try:
            async with connection.transaction():
                yield connection
        finally:
            await connection.close()

    async def somebody_waits_for_a_lock(self) -> bool:
        ours = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(await self.sql(ours))

    async def job_count(self) -> int:
        return int((await self.sql("SELECT count(*) FROM jobs"))[0][0])

    async def post(self, data: Any, path: str = "/v1/jobs", **options: Any) -> tuple[int, dict[str, Any]]:
        async with self.client.post(self.url + path, data=data, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        async with self.client.get(self.url + path, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def delete(self, path: str) -> int:
        async with self.client.delete(self.url + path) as answer:
            return answer.status

    async def submit(self, audio: bytes, **query: str) -> str:
        status, body = await self.post(io.BytesIO(audio), params=query, headers={"Content-Type": "audio/wav"})
        assert status == 202, body
        return str(body["job_id"])

    async def assert_nothing_is_left(self) -> None:
        assert self.stored_files() == []
        assert await self.job_count() == 0


@asynccontextmanager
async def serving(settings: IngestSettings, **changes: Any) -> AsyncIterator[Ingest]:
    settings = msgspec.structs.replace(settings, **changes)
    listener = bind("127.0.0.1", 0)
    stopping = asyncio.Event()
    config = uvicorn.Config(
        create_asgi(settings, stopping),
        http=bounded_protocol(settings),
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    server = Server(config, stopping)
    serve = asyncio.create_task(server._serve([listener]))  # without its signal handlers: the tests keep theirs
    try:
        async with aiohttp.ClientSession() as client:
            yield Ingest(settings, f"http://127.0.0.1:{listener.getsockname()[1]}", client, stopping)
    finally:
        server.should_exit = True
        await serve


async def until(condition: Any, timeout_s: float = 10) -> None:
    """Wait until a coroutine function returns True."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - the condition may be in another process
            await asyncio.sleep(0.01)
