"""The request's body as it comes off the socket, counted and timed; the first step of every upload.

Reads ASGI messages itself, since the framework's stream knows no timeout and calls a vanished client an internal error.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from litestar.types import Receive

from ingest_service.http.errors import ClientGoneError, RefusedError

# Whoever sends more slowly holds a connection on purpose, or will not be done this week: a telephone modem brings ten
# times as much. A train in a tunnel is back within the window.
WINDOW_S = 20.0
LEAST_BYTES = 10_000
SLICES = 4  # of the window, which moves on by one of them: it is noticed a quarter of a window late at most


def too_large(max_upload_bytes: int) -> RefusedError:
    """The refusal of an upload over the limit."""
    return RefusedError("too_large", f"An upload may have at most {max_upload_bytes} bytes.")


class Pace:
    """The least rate of a body. Counts only the time that we wait for the client, not what the blob store takes."""

    def __init__(self, window_s: float | None = None, least_bytes: int | None = None) -> None:
        self._window_s = WINDOW_S if window_s is None else window_s
        self._least_bytes = LEAST_BYTES if least_bytes is None else least_bytes
        self._slices = deque([self._least_bytes] * (SLICES - 1), maxlen=SLICES - 1)  # as if all had been well before
        self._arrived = 0  # in the slice at hand
        self._left_s = self._window_s / SLICES  # of it

    async def receive(self, receive: Receive) -> Any:
        """The next message; RefusedError `upload_stalled` when a whole window brought too little."""
        clock = asyncio.get_running_loop().time
        while True:
            began_s = clock()
            try:
                async with asyncio.timeout(self._left_s):
                    message: Any = await receive()
            except TimeoutError:
                self._next_slice()
                continue
            self._left_s -= clock() - began_s
            self._arrived += len(message.get("body", b""))
            return message

    def _next_slice(self) -> None:
        if self._arrived + sum(self._slices) < self._least_bytes:
            detail = f"Fewer than {self._least_bytes} bytes arrived in {self._window_s:.0f} s."
            raise RefusedError("upload_stalled", detail)
        self._slices.append(self._arrived)
        self._arrived = 0
        self._left_s = self._window_s / SLICES


async def read_body(receive: Receive) -> AsyncIterator[bytes]:
    """The pieces of the body, none of them empty.

    Raises ClientGoneError when the connection closes early, RefusedError `upload_stalled` when it comes too slowly.
    """
    pace = Pace()
    more = True
    while more:
        message = await pace.receive(receive)
        if message["type"] != "http.request":
            raise ClientGoneError
        more = message.get("more_body", False)
        if piece := message.get("body", b""):
            yield piece


async def limited(body: AsyncIterator[bytes], max_bytes: int, max_upload_bytes: int) -> AsyncIterator[bytes]:
    """The same pieces, until there are more than `max_bytes` in all: then RefusedError `too_large`."""
    total = 0
    async for piece in body:
        total += len(piece)
        if total > max_bytes:
            raise too_large(max_upload_bytes)
        yield piece
