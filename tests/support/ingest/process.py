"""The ingest as a process."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from deploy.local.ports import free_port
from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.ingest.serving import until


def environ(settings: IngestSettings, **changes: str) -> dict[str, str]:
    chosen = {f"HEADRACE_{name.upper()}": _text(value) for name, value in msgspec.structs.asdict(settings).items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return kept | chosen | changes


def _text(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    return ",".join(value) if isinstance(value, tuple) else str(value)


async def start(settings: IngestSettings, **changes: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ingest_service",
        env=environ(settings, **changes),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def running(settings: IngestSettings) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    port = free_port()
    process = await start(settings, HEADRACE_PORT=str(port), HEADRACE_LOG_LEVEL="WARNING")
    url = f"http://127.0.0.1:{port}"
    try:
        await until(lambda: answers(url), timeout_s=30)
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as client, client.get(url + "/health/live") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
