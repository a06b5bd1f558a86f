"""Let a client that is still sending read an early answer, such as a 415 to the first kilobytes of a large upload.

If a server closes a socket with unread bytes, the kernel sends a reset and the client loses the answer. So the answer
is sent at once, with `Connection: close`. Then the rest of the body is read and discarded, within limits, and the
connection is closed (RFC 9112 section 9.6; nginx calls it a lingering close).
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from ingest_service.errors import RefusedError
from ingest_service.uploads.body import Pace

MAX_DRAIN_S = 30.0
MAX_DRAIN_BYTES = 1 << 30
IDLE_WINDOW_S = 4.0  # a client that sends this slowly has read the answer, or was refused for being slow


class _Exchange:
    """A request and its answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_is_read = False

    async def receive(self) -> Any:
        message: Any = await self._receive()
        self._body_is_read = not message.get("more_body", False)
        return message

    def send(self, message: Any) -> Awaitable[None]:
        return self._send(message) if self._body_is_read else self._send_early(message)

    async def _send_early(self, message: Any) -> None:
        """Send a message of an answer before the body is read."""
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message["headers"], (b"connection", b"close")]}
        if message["type"] == "http.response.start" or message.get("more_body", False):
            await self._send(message)
            return
        await self._send(message | {"more_body": True})
        await self._drain()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        drained = 0
        pace = Pace(IDLE_WINDOW_S)
        try:
            async with asyncio.timeout(MAX_DRAIN_S):
                while not self._body_is_read and drained < MAX_DRAIN_BYTES:
                    drained += len((await pace.receive(self.receive)).get("body", b""))
        except (TimeoutError, RefusedError):
            return


def with_lingering_close(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application. Requests without a body pass through unchanged."""

    def lingering(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if not _has_body(scope):
            return app(scope, receive, send)
        exchange = _Exchange(receive, send)
        return app(scope, exchange.receive, exchange.send)

    return lingering


def _has_body(scope: Any) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False
