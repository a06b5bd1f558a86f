"""An HTTP server of our own before the S3 server: it hands requests on, but for those that it is told to spoil."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO

import aiohttp
from aiohttp import web
from yarl import URL

from deploy.local.ports import LOOPBACK

SLOW_DOWN = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>one</RequestId></Error>"""
MOST_BYTES = 64 << 20
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """The URL of a server that answers all requests so, and a client to hand them on with."""
    app = web.Application(client_max_size=MOST_BYTES)
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
    """Those of an answer that are for who asked, not for this connection."""
    return {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}


class Front:
    """Spoils some requests to `upstream`; `spoilt` tells which they were."""

    def __init__(self, upstream: str) -> None:
        self.spoilt: list[str] = []
        self.url = ""
        self._left = 0
        self._only = ("", "")
        self._carries_out = False
        self._upstream = upstream
        self._client: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Front"]:
        async with answering(self._answer) as (self.url, self._client):
            yield self

    def refuse(self, times: int, method: str = "", words: str = "") -> None:
        """Answer the next requests of that method, with those words in their target, with 503 SlowDown."""
        self._left, self._only, self._carries_out = times, (method, words), False

    def lose_answers(self, times: int, method: str = "", words: str = "") -> None:
        """Have the next such requests carried out, and break the connection instead of saying so."""
        self._left, self._only, self._carries_out = times, (method, words), True

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        is_spoilt = self._spoils(request)
        if is_spoilt and not self._carries_out:
            return web.Response(status=503, text=SLOW_DOWN, content_type="application/xml")
        answer = await self._hand_on(request, body)
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

    async def _hand_on(self, request: web.Request, body: bytes) -> web.Response:
        url = URL(self._upstream + request.raw_path, encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with self._client.request(request.method, url, headers=headers, data=BytesIO(body)) as answer:
            return web.Response(status=answer.status, headers=kept_headers(answer), body=await answer.read())
