"""Slow servers of an `audio_url` take no compute slot: with one slot, an uploaded file is done meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.ingest.serving import until
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import Pair, running_pair
from tests.support.sources.server import Script, Server, flooding, head, serving, stalling

SLOW = 3
AUDIO = wav(32_000)
ONE_HOUR = head(200, "content-length: 115200044") + wav(32_000)[:44]


@pytest_asyncio.fixture
async def pair(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with running_pair(database_url, redis_url, tmp_path, SLOTS="1") as pair:
        yield pair


async def submit_url(pair: Pair, url: str) -> str:
    async with pair.client.http.post("/v1/jobs", json={"audio_url": url}) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["job_id"])


async def all_asked(server: Server) -> bool:
    return len(server.asked) == SLOW


@pytest.mark.parametrize("slow", [flooding(ONE_HOUR, bytes(500), pause_s=0.1), stalling()])
async def test_slow_servers_hold_no_slot(pair: Pair, slow: Script) -> None:
    async with Server(slow).listening() as slow_server, Server(serving(AUDIO)).listening() as server:
        slow_jobs = [await submit_url(pair, slow_server.url) for _ in range(SLOW)]
        await until(lambda: all_asked(slow_server), timeout_s=30)

        uploaded = await pair.client.ended(await pair.client.submit(AUDIO), within_s=30)
        fetched = await pair.client.ended(await submit_url(pair, server.url), within_s=30)

        assert [uploaded["status"], fetched["status"]] == ["COMPLETED", "COMPLETED"]
        for job_id in slow_jobs:
            job = await pair.client.job(job_id)
            assert (job["status"], job["started_at"], job["attempts"]) == ("QUEUED", None, 1)
            assert job["estimated_wait_s"] is None

            async with pair.client.http.post(f"/v1/jobs/{job_id}/cancel") as answer:
                assert answer.status < 300
        await slow_server.ended()
