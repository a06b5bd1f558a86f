"""A webhook endpoint that behaves as its path says, verifies every request and logs it.

`/ok/…` accepts. `/lost/N/…` reads the first N requests and disconnects. `/fail/N/…` answers 500 N times.
`/throttle/N/S/…` answers 429 with Retry-After S. `/hang/…` never answers. `/huge/…` answers with 10 MB. `/endless/…`
answers without end. `/redirect/…` redirects to a trap. `/gone/…` answers 410. The rest of the path identifies the job.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec
from aiohttp import web
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from deploy.local.ports import LOOPBACK

HOSTS = (LOOPBACK, "127.0.0.2", "127.0.0.3")  # slow behaviours use a separate host
HUGE_BYTES = 10 << 20
PIECE = b"x" * (1 << 16)


class Received(msgspec.Struct, kw_only=True):
    """One request to the endpoint. `answered` is None if there was no complete answer."""

    at: float
    path: str
    event_id: str
    type: str
    job_id: str
    verifies: bool
    answered: int | None = None


class Receiver:
    """Listens on loopback, and counts connections to a second port, the trap, which must stay unused."""

    def __init__(self, secret: str, hosts: Sequence[str] = HOSTS) -> None:
        self.log: list[Received] = []
        self.trapped = 0
        self.port = 0
        self.trap_port = 0
        self._hosts = hosts
        self._webhook = Webhook(secret)
        self._times: Counter[tuple[str, str]] = Counter()
        self._closing = asyncio.Event()

    def expect_secret(self, secret: str) -> None:
        """Verify later webhooks with another secret."""
        self._webhook = Webhook(secret)

    def url(self, path: str, host: str | None = None) -> str:
        return f"http://{host or self._hosts[0]}:{self.port}/{path}"

    def forget(self) -> None:
        self.log.clear()
        self._times.clear()
        self.trapped = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_post("/aside/{rest:.*}", self._refuse)
        app.router.add_put("/aside/{rest:.*}", self._take_result)
        app.router.add_route("*", "/{behaviour}/{rest:.*}", self._receive)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await runner.setup()
        for host in self._hosts:
            await web.TCPSite(runner, host, self.port, backlog=1024).start()
            self.port = runner.addresses[0][1]
        trap = await asyncio.start_server(self._step_into_trap, LOOPBACK, 0)
        self.trap_port = trap.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._closing.set()
            trap.close()
            await runner.cleanup()

    async def _step_into_trap(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.trapped += 1
        writer.close()

    async def _refuse(self, _: web.Request) -> web.Response:
        """Answer as a chat provider that serves no one: the job is completed without a summary."""
        return web.Response(status=410)

    async def _take_result(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        received = self._read(request, await request.text(), at=time.time())
        self.log.append(received)
        self._times[request.path, received.event_id] += 1
        answer = await self._answer(request, self._times[request.path, received.event_id])
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        received.answered = answer.status
        return answer

    def _read(self, request: web.Request, body: str, *, at: float) -> Received:
        verifies, event = True, {}
        try:
            event = json.loads(body)
            self._webhook.verify(body, dict(request.headers))
        except (WebhookVerificationError, json.JSONDecodeError):
            verifies = False
        return Received(
            at=at,
            path=request.path,
            event_id=request.headers.get("webhook-id", ""),
            type=str(event.get("type")),
            job_id=str(event.get("data", {}).get("job_id")),
            verifies=verifies,
        )

    async def _answer(self, request: web.Request, time_no: int) -> web.StreamResponse | None:  # noqa: PLR0911 - a table
        behaviour, *rest = request.path.strip("/").split("/")
        match behaviour:
            case "lost" if time_no <= int(rest[0]):
                return None
            case "fail" if time_no <= int(rest[0]):
                return web.Response(status=500)
            case "throttle" if time_no <= int(rest[0]):
                return web.Response(status=429, headers={"Retry-After": rest[1]})
            case "hang":
                await self._closing.wait()
                return None
            case "huge":
                return web.Response(body=bytes(HUGE_BYTES))
            case "endless":
                return await self._without_end(request)
            case "redirect":
                return web.Response(status=302, headers={"Location": f"http://{LOOPBACK}:{self.trap_port}/"})
            case "gone":
                return web.Response(status=410)
        return web.Response(status=204)

    async def _without_end(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in itertools.count():
                await answer.write(PIECE)
                await asyncio.sleep(0.05)
                if self._closing.is_set():
                    break
        return answer
