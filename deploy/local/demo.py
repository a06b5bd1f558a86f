"""`demo`: upload a clip, receive and verify the webhook, and fetch the transcript.

The stack runs in a temporary folder, on a free port, with the smallest model. Everything is removed at the end.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.settings import Choices, base_url
from deploy.local.stack import running_stack
from deploy.local.terminal import LocalStackError, say

PATH = "/headrace"


class WebhookReceiver:
    """A client's webhook endpoint. It answers 204 to valid signatures, else 401. `event` is the first valid event."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self.event: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["WebhookReceiver"]:
        """Listen on a free loopback port during a block."""
        application = web.Application()
        application.router.add_post(PATH, self._receive)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, 0).start()
            self.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}{PATH}"
            yield self
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            event = self._webhook.verify(await request.text(), dict(request.headers))
        except WebhookVerificationError:
            return web.Response(status=401)
        if not self.event.done():
            self.event.set_result(event)
        return web.Response(status=204)


DEMO_SETTINGS = {"HEADRACE_MODEL": "tiny.en", "HEADRACE_SLOTS": "1"}  # fast to download and to load
CLIP = Path(__file__).parent / "jfk.flac"
WEBHOOK_TIMEOUT_S = 120.0  # loading and transcribing takes about 20 s on a slow machine


async def demonstrate(choices: Choices) -> None:
    """Transcribe one clip. Raise LocalStackError on failure."""
    with tempfile.TemporaryDirectory(prefix="headrace-demo-") as folder:
        async with running_stack(_for_demo(choices, Path(folder))) as settings:
            receiver = WebhookReceiver(settings["HEADRACE_WEBHOOK_SECRET"])
            async with receiver.listening(), aiohttp.ClientSession(base_url(settings)) as client:
                text = await _transcribe(client, receiver)
    say("")
    say(text)
    say("webhook verified")


def _for_demo(choices: Choices, folder: Path) -> Choices:
    overrides = {**DEMO_SETTINGS, **choices.overrides}
    return replace(
        choices, port=free_port(), data_dir=folder, processors=max(1, choices.processors), overrides=overrides
    )


async def _transcribe(client: aiohttp.ClientSession, receiver: WebhookReceiver) -> str:
    try:
        job_id = await _upload(client, receiver.url)
        await _await_webhook(receiver, job_id)
        return await _fetch_text(client, job_id)
    except aiohttp.ClientError as error:
        raise LocalStackError(f"The ingest service did not answer: {error}") from error


async def _upload(client: aiohttp.ClientSession, webhook_url: str) -> str:
    form = aiohttp.FormData()
    form.add_field("audio_file", CLIP.read_bytes(), filename=CLIP.name, content_type="audio/flac")
    form.add_field("webhook_url", webhook_url)
    async with client.post("/v1/jobs", data=form) as response:
        if response.status != 202:
            raise LocalStackError(f"The upload was rejected with status {response.status}: {await response.text()}")
        job_id = str((await response.json())["job_id"])
    say(f"uploaded {CLIP.name} as job {job_id}; waiting for the webhook")
    return job_id


async def _await_webhook(receiver: WebhookReceiver, job_id: str) -> None:
    """Wait for the webhook and check that it reports this job as completed."""
    try:
        event: Any = await asyncio.wait_for(receiver.event, WEBHOOK_TIMEOUT_S)
    except TimeoutError:
        raise LocalStackError(f"No webhook with a valid signature arrived within {WEBHOOK_TIMEOUT_S:.0f} s.") from None
    if event["type"] != "job.completed" or event["data"]["job_id"] != job_id:
        raise LocalStackError(f"The webhook reports {event['type']}: {event['data'].get('error')}")


async def _fetch_text(client: aiohttp.ClientSession, job_id: str) -> str:
    async with client.get(f"/v1/jobs/{job_id}/transcript", params={"format": "txt"}) as response:
        text = (await response.text()).strip()
        if response.status != 200 or not text:
            raise LocalStackError(f"Cannot fetch the transcript: status {response.status}.")
        return text
