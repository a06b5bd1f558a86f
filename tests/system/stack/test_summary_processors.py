"""Two real processors, of which one has a chat provider: it alone takes what is to be summarized."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from shared.queue.announced_models import SUMMARIES_KEY
from shared.queue.dispatch import SUMMARY_QUEUE
from tests.support.acceptance.client import Client
from tests.support.clips import JFK
from tests.support.ingest.serving import until
from tests.support.stack.launched import Launched
from tests.support.summaries.chat import Chat, by_request, sensible
from tests.support.webhooks.endpoint import stalling

pytestmark = pytest.mark.process

SETTINGS = {
    "PROCESSORS": "1",
    "HEADRACE_TRANSCRIBER": "scripted",
    "HEADRACE_SLOTS": "2",
    "HEADRACE_LEASE_S": "3",
    "HEADRACE_RETRY_WAITS_S": "0.2,0.2",
}


@asynccontextmanager
async def processor(stack: Launched, chat: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A processor of the stack with a chat provider, until the block ends."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environ |= {**stack.settings(), **chat} | {"HEADRACE_HEALTH_PORT": "0"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "processor_service", env=environ)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def test_only_a_processor_with_providers_takes_summaries_and_without_one_they_end(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data", environ=SETTINGS)
    async with (
        Chat().listening() as chat,
        stack.ready(),
        aiohttp.ClientSession(stack.url) as http,
        Redis.from_url(stack.settings()["HEADRACE_REDIS_URL"]) as redis,
    ):
        client = Client(http)
        async with processor(stack, chat.environ) as provided:
            await _until_announced(redis)
            await _all_are_summarized(provided.pid, client, redis)
            job_id = await _asked_for(client, chat)
            provided.kill()
        await _ends_with_a_warning(job_id, client, redis)


async def _until_announced(redis: Any) -> None:
    async def is_announced() -> bool:
        return bool(await redis.exists(SUMMARIES_KEY))

    await until(is_announced, timeout_s=60)


async def _all_are_summarized(pid: int, client: Client, redis: Any) -> None:
    """One that the processor without providers takes would end with a warning."""
    await until(partial(_is_accepted, client), timeout_s=60)  # the ingest reads announcements every few seconds
    chosen = [await client.submit(JFK.path, summary=True, denoise=False) for _ in range(8)]
    ended = await asyncio.gather(*map(client.ended, chosen))
    assert [job["status"] for job in ended] == ["COMPLETED"] * 8
    assert all(["summary" in await client.transcript(job_id) for job_id in chosen])
    polling = [key.decode() for key in await redis.keys(f"{SUMMARY_QUEUE}:health:*")]
    assert [int(key.rpartition(":")[2]) for key in polling] == [pid]


async def _is_accepted(client: Client) -> bool:
    code, _ = await client.try_submit(JFK.path, summary=True, denoise=False)
    return code == 202


async def _asked_for(client: Client, chat: Chat) -> str:
    """Return a job whose provider has been asked and does not answer."""
    chat.begin(stalling())
    job_id = await client.submit(JFK.path, summary=True, denoise=False)

    async def is_asked() -> bool:
        return bool(chat.received)

    await until(is_asked, timeout_s=60)
    chat.begin(by_request(sensible))
    return job_id


async def _ends_with_a_warning(job_id: str, client: Client, redis: Any) -> None:
    """The announcement outlives the killed processor by minutes: until it expires, the job waits."""

    async def is_enqueued() -> bool:
        return bool(await redis.zcard(SUMMARY_QUEUE))

    await until(is_enqueued, timeout_s=60)
    assert (await client.job(job_id))["stage"] == "summarize"
    assert await redis.pttl(SUMMARIES_KEY) > 60_000
    await redis.delete(SUMMARIES_KEY)
    job = await client.ended(job_id)
    assert job["status"] == "COMPLETED"
    assert "summary_unavailable" in [one["code"] for one in job["warnings"]]
    assert (await client.transcript(job_id))["warnings"] == job["warnings"]
