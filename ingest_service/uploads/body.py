"""The request's body as it comes off the socket, counted and timed; the first step of every upload.

Reads ASGI messages itself, since the framework's stream knows no timeout and calls a vanished client an internal error.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar.types import Receive

from ingest_service.errors import ClientGoneError, RefusedError
from ingest_service.uploads.begin import begin

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
        self._slices = (self._least_bytes,) * (SLICES - 1)  # those before, as if all had been well
        self._arrived = 0  # in the slice at hand
        self._left_s = self._window_s / SLICES  # of it

    async def receive(self, receive: Receive) -> Any:
        """The next message; RefusedError `upload_stalled` when a whole window brought too little."""
        is_here, message = begin(receive())
        if not is_here:
            message = await self._wait(message, receive)
        self._arrived += len(message.get("body", b""))
        return message

    async def _wait(self, begun: Any, receive: Receive) -> Any:
        clock = asyncio.get_running_loop().time
        while True:
            began_s = clock()
            try:
                async with asyncio.timeout(self._left_s):
                    message = await begun
            except TimeoutError:
                self._next_slice()
                begun = receive()
                continue
            self._left_s -= clock() - began_s
            return message

    def _next_slice(self) -> None:
        if self._arrived + sum(self._slices) < self._least_bytes:
            detail = f"Fewer than {self._least_bytes} bytes arrived in {self._window_s:.0f} s."
            raise RefusedError("upload_stalled", detail)
        self._slices = (*self._slices[1:], self._arrived)
        self._arrived = 0
        self._left_s = self._window_s / SLICES


async def read_body(receive: Receive) -> AsyncIterator[bytes]:
    """The pieces of the body, none of them empty.

    Raises ClientGoneError when the connection closes early, RefusedError `upload_stalled` when it comes too slowly.
    """
    pace = Pace()
    more = True
    while more:
        piece, more = await _next(pace, receive)
        if piece:
            yield piece


async def read_small_body(receive: Receive, max_bytes: int, max_upload_bytes: int) -> bytes:
    """The same as a whole, without a stream: ten thousand may be open. RefusedError `too_large` above `max_bytes`."""
    pace = Pace()
    body, more = await _next(pace, receive)
    if more:
        pieces, total = [body], len(body)
        while more and total <= max_bytes:
            piece, more = await _next(pace, receive)
            pieces.append(piece)
            total += len(piece)
        body = b"".join(pieces)
    if len(body) > max_bytes:
        raise too_large(max_upload_bytes)
    return body


async def _next(pace: Pace, receive: Receive) -> tuple[bytes, bool]:
    """A piece, which may be empty, and whether more comes."""
    message = await pace.receive(receive)
    if message["type"] != "http.request":
        raise ClientGoneError
    return message.get("body", b""), message.get("more_body", False)


async def limited(body: AsyncIterator[bytes], max_bytes: int, max_upload_bytes: int) -> AsyncIterator[bytes]:
    """The first `max_bytes` of the body, wherever its pieces end; then RefusedError `too_large` if there is more."""
    left = max_bytes
    async for piece in body:
        if len(piece) > left:
            if left:
                yield piece[:left]
            raise too_large(max_upload_bytes)
        left -= len(piece)
        yield piece
