"""A client of Headrace: upload, poll, fetch. Used by the acceptance tests and by manual checks."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from standardwebhooks import Webhook

POLL_S = 0.05
TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}


class Client:
    """A client of one running stack."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def submit(self, audio: Path | bytes, **options: object) -> str:
        """Upload by multipart; return the id of the accepted job."""
        status, answer = await self.try_submit(audio, **options)
        assert status == 202, answer
        return str(answer["job_id"])

    async def try_submit(self, audio: Path | bytes, **options: object) -> tuple[int, dict[str, Any]]:
        """Upload by multipart; return the status and the body of any answer."""
        form = aiohttp.FormData()
        for name, value in options.items():
            form.add_field(name, value if isinstance(value, str) else json.dumps(value))
        data = BytesIO(audio) if isinstance(audio, bytes) else await asyncio.to_thread(audio.open, "rb")
        name = "clip" if isinstance(audio, bytes) else audio.name
        form.add_field("audio_file", data, filename=name)
        async with self.http.post("/v1/jobs", data=form) as response:
            return response.status, await response.json(content_type=None)

    async def job(self, job_id: str) -> dict[str, Any]:
        async with self.http.get(f"/v1/jobs/{job_id}") as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def ended(self, job_id: str, *, within_s: float = 120) -> dict[str, Any]:
        """Wait until the job is in a terminal state; return it."""
        async with asyncio.timeout(within_s):
            while (job := await self.job(job_id))["status"] not in TERMINAL:  # noqa: ASYNC110 - a client that polls
                await asyncio.sleep(POLL_S)
        return job

    async def transcript(self, job_id: str) -> dict[str, Any]:
        return dict(json.loads(await self.text(job_id, "json")))

    async def text(self, job_id: str, file_format: str, **query: str) -> str:
        params = {"format": file_format, **query}
        async with self.http.get(f"/v1/jobs/{job_id}/transcript", params=params) as response:
            assert response.status == 200, await response.text()
            return await response.text()

    async def diarize(self, job_id: str, **options: object) -> None:
        """Request the speakers of a finished job again."""
        async with self.http.post(f"/v1/jobs/{job_id}/diarize", json=options) as response:
            assert response.status == 202, await response.text()

    async def audio(self, job_id: str, variant: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        params = {"variant": variant}
        async with self.http.get(f"/v1/jobs/{job_id}/audio", params=params, headers=headers) as response:
            return response.status, await response.read()


class Receiver:
    """A client's webhook endpoint that verifies every event with the reference library."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.url = ""

    async def event(self, *, within_s: float = 60) -> dict[str, Any]:
        """Return the next verified event."""
        async with asyncio.timeout(within_s):
            return await self._events.get()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.add_routes([web.post("/hook", self._receive)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        event = self._webhook.verify(await request.text(), dict(request.headers))
        self._events.put_nowait(event)
        return web.Response(status=204)


def words_of(text: str) -> list[str]:
    """Return lower-case words without punctuation, to compare transcripts."""
    kept = (character if character.isalnum() or character == "'" else " " for character in text.lower())
    return "".join(kept).split()
