"""The ingest on a real socket, in the tests' event loop."""

import asyncio
import io
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import uvicorn
from litestar import Litestar

from ingest_service.app import Registered, configure, register_routes, registered_by, wrap_app
from ingest_service.server.serve import Server, bounded_protocol
from ingest_service.server.supervisor import bind
from ingest_service.settings import IngestSettings
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.connections.redis_shards import open_redis_shards
from shared.job_hints import JobHints
from tests.support.servers import as_owner
from tests.support.storage.files_below import files_below

DRAIN_TIMEOUT_S = 5  # for requests in progress

# Applications without a lifespan, used again: to register the routes costs more than most tests.
_idle_apps: dict[Registered, list[Litestar]] = {}


class Ingest:
    """A running ingest, for clients and operators."""

    def __init__(
        self,
        settings: IngestSettings,
        url: str,
        client: aiohttp.ClientSession,
        stopping: asyncio.Event | None = None,
        *,
        keeps_connection: bool = False,
    ) -> None:
        """`keeps_connection`: `sql` uses a connection again, until `close`."""
        self._keeps_connection = keeps_connection
        self.stopping = stopping or asyncio.Event()
        self.settings = settings
        self.url = url
        self.client = client
        self.blobs = BlobStore(settings.storage_url)
        self.record_url = as_owner(settings.database_url.reveal())  # tests see all tenants' rows
        self._connection: asyncpg.Connection | None = None

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    def stored_files(self) -> list[Path]:
        root = Path(urlsplit(self.settings.storage_url).path)
        return files_below(root)

    def stored_jobs(self) -> set[str]:
        """Return the ids of the jobs that have a file."""
        root = Path(urlsplit(self.settings.storage_url).path)
        return {str(blob_keys.job_of(str(path.relative_to(root)))) for path in self.stored_files()}

    def lose_store(self) -> Path:
        """Replace the blob store's folder by a file."""
        folder = Path(urlsplit(self.settings.storage_url).path)
        shutil.rmtree(folder)
        folder.write_text("a file where the folder was")
        return folder

    async def sql(self, query: str, *arguments: Any) -> list[Any]:
        connection, self._connection = self._connection, None  # a query at the same time opens its own
        if connection is None or connection.is_closed():
            connection = await asyncpg.connect(self.record_url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            if self._keeps_connection and self._connection is None:
                self._connection = connection
            else:
                await connection.close()

    async def close(self) -> None:
        """Close the connection of `sql`. Later queries open their own."""
        self._keeps_connection = False
        if self._connection is not None:
            await self._connection.close()

    async def hint(self, *job_ids: str, tenant: str = "default") -> None:
        """Publish that jobs have changed, as the processor does after each commit."""
        async with open_redis_shards(self.settings.redis_url.reveal()) as shards, JobHints.opened(shards) as hints:
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
    app = _take_app(registered_by(settings))
    configure(app, settings, stopping)
    config = uvicorn.Config(
        wrap_app(app, settings),
        http=bounded_protocol(settings),
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        proxy_headers=False,
    )
    server = PromptServer(config, stopping)
    serve = asyncio.create_task(server._serve([listener]))  # without its signal handlers: the tests keep theirs
    try:
        async with aiohttp.ClientSession() as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            running = Ingest(settings, url, client, stopping, keeps_connection=True)
            try:
                yield running
            finally:
                await running.close()
    finally:
        server.ended.set()
        await serve
        _idle_apps[registered_by(settings)].append(app)


class PromptServer(Server):
    """Ends at once. uvicorn polls ten times a second whether it should exit and whether connections are closed."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config, stopping)
        self.ended = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event
                    await asyncio.sleep(0.001)
        for task in self.server_state.tasks:
            task.cancel()
        await self.lifespan.shutdown()


def _take_app(registered: Registered) -> Litestar:
    idle = _idle_apps.setdefault(registered, [])
    return idle.pop() if idle else register_routes(registered)


def described_app(settings: IngestSettings) -> Litestar:
    """Return an application for questions about its routes: one for all tests, which serves nothing."""
    return _described(registered_by(settings))


_described = cache(register_routes)


async def until(condition: Any, timeout_s: float = 10) -> None:
    """Wait until a coroutine function returns True."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - the condition may be in another process
            await asyncio.sleep(0.01)
