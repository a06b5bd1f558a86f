"""The request's body as it comes off the socket, counted and timed; the first step of every upload.

Reads ASGI messages itself, since the framework's stream knows no timeout and calls a vanished client an internal error.
"""

import asyncio
from collections.abc import AsyncIterator

from litestar.types import Receive

from ingest_service.errors import ClientGoneError, RefusedError

STALL_TIMEOUT_S = 30.0  # nothing arrived for so long: the client sleeps or holds connections on purpose


def too_large(max_upload_bytes: int) -> RefusedError:
    """The refusal of an upload over the limit."""
    return RefusedError("too_large", f"An upload may have at most {max_upload_bytes} bytes.")


async def read_body(receive: Receive, stall_timeout_s: float = STALL_TIMEOUT_S) -> AsyncIterator[bytes]:
    """The pieces of the body, none of them empty.

    Raises ClientGoneError when the connection closes early, RefusedError `upload_stalled` when nothing comes.
    """
    more = True
    while more:
        try:
            async with asyncio.timeout(stall_timeout_s):
                message = await receive()
        except TimeoutError:
            raise RefusedError("upload_stalled", f"Nothing arrived for {stall_timeout_s:.0f} s.") from None
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
