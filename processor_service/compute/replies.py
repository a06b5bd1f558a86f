"""Reads what a child answers to one request, and no more than a sound one would say. A broken one may send anything."""

import asyncio

import msgspec

from processor_service.compute.messages import HEADER, Reply, decode_reply

# A day of fast speech, five words a second of 120 bytes each, is 52 MB; a chunk's transcript is a hundredth of that.
MAX_BYTES = 64 << 20
MAX_REPLIES = 100_000  # a child tells of progress a few thousand times, and of each chunk once


class BrokenReplyError(Exception):
    """The child says what no sound child says."""


class Replies:
    """The replies to one request."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._left_bytes = MAX_BYTES
        self._left = MAX_REPLIES

    async def read(self) -> Reply:
        """The next one. Raises BrokenReplyError, or IncompleteReadError at the end of the stream."""
        length = HEADER.unpack(await self._stream.readexactly(HEADER.size))[0]
        self._left_bytes -= length
        self._left -= 1
        if self._left_bytes < 0 or self._left < 0:
            raise BrokenReplyError("said more than any sound child says")
        body = await self._stream.readexactly(length)
        try:
            return decode_reply(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BrokenReplyError("said what is no reply") from error
