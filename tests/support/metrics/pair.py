"""Both services as processes, with a scripted transcriber, and their metrics."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import msgspec

from deploy.local.ports import free_port
from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.acceptance.client import Client, Receiver
from tests.support.ingest.process import running
from tests.support.ingest.serving import until
from tests.support.stack.launched import ROOT

SECRET = "whsec_" + "bWV0cmljcy1vZi10aGUtcGFpci1hcmUtc2lnbmVkLXRvbw=="


class Pair(msgspec.Struct, frozen=True):
    """Clients and URLs of both services."""

    client: Client
    receiver: Receiver
    ingest_url: str
    processor_url: str

    async def texts(self) -> dict[str, str]:
        """Return the text of `/metrics` by service URL."""
        return {url: await self._text(url) for url in (self.ingest_url, self.processor_url)}

    async def _text(self, url: str) -> str:
        async with self.client.http.get(f"{url}/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return await answer.text()


@contextlib.asynccontextmanager
async def running_pair(
    database_url: str, redis_url: str, folder: Path, *, otlp_url: str = "", **processor_settings: str
) -> AsyncIterator[Pair]:
    """Run both services and a webhook receiver during a block. `processor_settings`: names without HEADRACE_."""
    settings = IngestSettings(
        database_url=Secret(database_url),
        redis_url=Secret(redis_url),
        storage_url=(folder / "blobs").as_uri(),
        auth="none",
        ingest_processes=1,
        otlp_url=Secret(otlp_url),
    )
    async with contextlib.AsyncExitStack() as stack:
        _, ingest_url = await stack.enter_async_context(running(settings))
        processor_url = await stack.enter_async_context(running_processor(settings, processor_settings))
        receiver = await stack.enter_async_context(Receiver(SECRET).listening())
        http = await stack.enter_async_context(aiohttp.ClientSession(ingest_url))
        yield Pair(Client(http), receiver, ingest_url, processor_url)


@contextlib.asynccontextmanager
async def running_processor(settings: IngestSettings, chosen: Mapping[str, str]) -> AsyncIterator[str]:
    """Run a processor with a scripted transcriber, for an ingest. Return its URL."""
    port = free_port()
    ours = {
        "DATABASE_URL": settings.database_url.reveal(),
        "REDIS_URL": settings.redis_url.reveal(),
        "STORAGE_URL": settings.storage_url,
        "OTLP_URL": settings.otlp_url.reveal(),
        "TRANSCRIBER": "scripted",
        "HEALTH_PORT": str(port),
        "RETRY_WAITS_S": "0.1",
        "WEBHOOK_ALLOW_PRIVATE": "loopback",
        "WEBHOOK_SECRET": SECRET,
        "LOG_LEVEL": "WARNING",
        **chosen,
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environ = {**clean, "PYTHONPATH": str(ROOT)} | {f"HEADRACE_{name}": value for name, value in ours.items()}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "processor_service", env=environ)
    url = f"http://127.0.0.1:{port}"
    try:
        await until(lambda: _is_live(url), timeout_s=60)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def _is_live(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/health/live") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
