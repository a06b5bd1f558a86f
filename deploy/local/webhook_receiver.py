"""A client's end of the webhook, on loopback: takes one event and hands over its verified body."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from deploy.local.ports import LOOPBACK

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
