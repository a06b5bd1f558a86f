"""An HTTP proxy in front of the S3 server. It forwards requests and injects faults."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO

import aiohttp
from aiohttp import web
from yarl import URL

from deploy.local.ports import LOOPBACK

SLOW_DOWN = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>one</RequestId></Error>"""
MAX_BYTES = 64 << 20
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """Serve all requests with `answer` during a block. Yield the URL and a client for forwarding."""
    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            yield f"http://{LOOPBACK}:{runner.addresses[0][1]}", client
    finally:
        await runner.cleanup()


def kept_headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the end-to-end headers of an answer."""
    return {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}


class Front:
    """Injects faults into some requests to `upstream`. `spoilt`: the affected requests."""

    def __init__(self, upstream: str) -> None:
        self.spoilt: list[str] = []
        self.url = ""
        self._left = 0
        self._only = ("", "")
        self._forwards = False
        self._upstream = upstream
        self._client: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Front"]:
        async with answering(self._answer) as (self.url, self._client):
            yield self

    def refuse(self, times: int, method: str = "", words: str = "") -> None:
        """Answer the next `times` requests with 503 SlowDown, if they have the method and the words in their target."""
        self._left, self._only, self._forwards = times, (method, words), False

    def lose_answers(self, times: int, method: str = "", words: str = "") -> None:
        """Forward the next `times` such requests, and break the connection instead of answering."""
        self._left, self._only, self._forwards = times, (method, words), True

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        is_spoilt = self._spoils(request)
        if is_spoilt and not self._forwards:
            return web.Response(status=503, text=SLOW_DOWN, content_type="application/xml")
        answer = await self._forward(request, body)
        if is_spoilt and request.transport is not None:
            request.transport.abort()
        return answer

    def _spoils(self, request: web.Request) -> bool:
        method, words = self._only
        if not self._left or method not in request.method or words not in request.raw_path:
            return False
        self._left -= 1
        self.spoilt.append(f"{request.method} {request.raw_path}")
        return True

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        url = URL(self._upstream + request.raw_path, encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with self._client.request(request.method, url, headers=headers, data=BytesIO(body)) as answer:
            return web.Response(status=answer.status, headers=kept_headers(answer), body=await answer.read())
