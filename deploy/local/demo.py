"""`demo`: what a client does, once: uploads a clip, is told by webhook, verifies the signature, fetches the words.

Runs the whole stack in a temporary folder, on a free port, with the smallest model, and leaves nothing behind.
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

# A client's end of the webhook, on loopback: takes one event and hands over its verified body.

PATH = "/headrace"


class WebhookReceiver:
    """Answers 204 to events whose signature is right, 401 to others; `event` is the first right one."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self.event: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["WebhookReceiver"]:
        """Listen on a free port for the length of a block."""
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


FOR_ONE_CLIP = {"HEADRACE_MODEL": "tiny.en", "HEADRACE_SLOTS": "1"}  # quick to fetch and to warm up
CLIP = Path(__file__).parent / "jfk.flac"
TOLD_WITHIN_S = 120.0  # a cold model on a slow machine takes about 20


async def demonstrate(choices: Choices) -> None:
    """Show the way of one clip; raises LocalStackError when it does not get through."""
    with tempfile.TemporaryDirectory(prefix="headrace-demo-") as folder:
        async with running_stack(_for_demo(choices, Path(folder))) as settings:
            receiver = WebhookReceiver(settings["HEADRACE_WEBHOOK_SECRET"])
            async with receiver.listening(), aiohttp.ClientSession(base_url(settings)) as client:
                words = await _transcribe(client, receiver)
    say("")
    say(words)
    say("webhook verified")


def _for_demo(choices: Choices, folder: Path) -> Choices:
    overrides = {**FOR_ONE_CLIP, **choices.overrides}
    return replace(
        choices, port=free_port(), data_dir=folder, processors=max(1, choices.processors), overrides=overrides
    )


async def _transcribe(client: aiohttp.ClientSession, receiver: WebhookReceiver) -> str:
    try:
        job_id = await _upload(client, receiver.url)
        await _told(receiver, job_id)
        return await _words(client, job_id)
    except aiohttp.ClientError as error:
        raise LocalStackError(f"The ingest service did not answer: {error}") from error


async def _upload(client: aiohttp.ClientSession, webhook_url: str) -> str:
    form = aiohttp.FormData()
    form.add_field("audio_file", CLIP.read_bytes(), filename=CLIP.name, content_type="audio/flac")
    form.add_field("webhook_url", webhook_url)
    async with client.post("/v1/jobs", data=form) as response:
        if response.status != 202:
            raise LocalStackError(f"The upload was refused with {response.status}: {await response.text()}")
        job_id = str((await response.json())["job_id"])
    say(f"uploaded {CLIP.name} as job {job_id}; waiting for the webhook")
    return job_id


async def _told(receiver: WebhookReceiver, job_id: str) -> None:
    """Wait for the webhook, and be sure that it brings good news of this job."""
    try:
        event: Any = await asyncio.wait_for(receiver.event, TOLD_WITHIN_S)
    except TimeoutError:
        raise LocalStackError(f"No webhook with a right signature came within {TOLD_WITHIN_S:.0f} s.") from None
    if event["type"] != "job.completed" or event["data"]["job_id"] != job_id:
        raise LocalStackError(f"The webhook brings {event['type']}: {event['data'].get('error')}")


async def _words(client: aiohttp.ClientSession, job_id: str) -> str:
    async with client.get(f"/v1/jobs/{job_id}/transcript", params={"format": "txt"}) as response:
        text = (await response.text()).strip()
        if response.status != 200 or not text:
            raise LocalStackError(f"The transcript could not be fetched ({response.status}).")
        return text
