"""Real speech behind a URL that demands a header, and results at presigned URLs, one of which fails first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from aiohttp import web
from jiwer import wer

from shared.schemas.transcript import Transcript
from tests.support.acceptance.client import POLL_S, Client, words_of
from tests.support.clips import JFK

TOKEN = "Bearer s3cret"  # noqa: S105 - a test's


class Storage:
    """A client's own server: it serves the audio to requests with the token, and accepts results."""

    def __init__(self) -> None:
        self.url = ""
        self.failures_left = 1
        self.results: dict[str, bytes] = {}
        self.all_there = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Storage"]:
        app = web.Application()
        app.add_routes([web.get("/talk.flac", self._serve), web.put("/{name}", self._take)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        has_token = request.headers.get("Authorization") == TOKEN
        return web.FileResponse(JFK.path) if has_token else web.Response(status=401)

    async def _take(self, request: web.Request) -> web.Response:
        if self.failures_left:
            self.failures_left -= 1
            return web.Response(status=503)
        self.results[request.match_info["name"]] = await request.read()
        if len(self.results) == 2:
            self.all_there.set()
        return web.Response()


def _are_written(job: dict[str, Any]) -> bool:
    return {one["status"] for one in job["results"]} == {"written"}


async def test_audio_behind_a_header_becomes_results_at_presigned_urls(
    client: Client, database: asyncpg.Connection
) -> None:
    async with Storage().listening() as storage:
        body = {
            "audio_url": f"{storage.url}/talk.flac",
            "audio_headers": {"Authorization": TOKEN},
            "results_to": {name: f"{storage.url}/talk.{name}?signature=s3cret" for name in ("json", "srt")},
        }
        async with client.http.post("/v1/jobs", json=body) as answer:
            assert answer.status == 202, await answer.text()
            job_id = (await answer.json())["job_id"]
        assert (await client.ended(job_id))["status"] == "COMPLETED"
        async with asyncio.timeout(30):
            await storage.all_there.wait()
            while not _are_written(job := await client.job(job_id)):  # noqa: ASYNC110 - a client that polls
                await asyncio.sleep(POLL_S)

    transcript = msgspec.json.decode(storage.results["talk.json"], type=Transcript)
    assert wer(" ".join(words_of(JFK.text)), " ".join(words_of(transcript.text))) <= 0.2
    assert storage.results["talk.srt"].decode() == await client.text(job_id, "srt")
    assert sorted(one["attempts"] for one in job["results"]) == [1, 2]
    assert "s3cret" not in str(job)
    assert await database.fetchval("SELECT count(*) FROM source_headers") == 0
    assert await database.fetchval("SELECT count(target) FROM result_writes") == 0


async def test_a_wrong_header_fails_as_any_refusal_does_and_cannot_be_redriven(client: Client) -> None:
    async with Storage().listening() as storage:
        body = {"audio_url": f"{storage.url}/talk.flac", "audio_headers": {"Authorization": "Bearer wrong"}}
        async with client.http.post("/v1/jobs", json=body) as answer:
            job_id = (await answer.json())["job_id"]
        job = await client.ended(job_id)
    assert (job["status"], job["error"]["code"]) == ("FAILED", "source_refused")
    assert job["error"]["message"] == "The server of the `audio_url` requires authentication (401)."
    async with client.http.post(f"/v1/dead-letters/{job_id}/redrive") as answer:
        assert (answer.status, (await answer.json())["code"]) == (410, "source_headers_erased")
