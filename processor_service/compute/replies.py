"""Reads the replies of a compute child within limits."""

import asyncio

import msgspec

from processor_service.compute.messages import HEADER, Reply, WindowTranscribed, decode_reply

# A day of fast speech, five words a second of 120 bytes each, is 52 MB; a chunk's transcript is a hundredth of that.
MAX_BYTES = 64 << 20
MAX_REPLIES = 100_000  # a child sends a few thousand progress messages, and one for each chunk or window
MAX_WINDOW_BYTES = 4 << 20  # of all windows of a request, which are kept in Redis; half an hour of text is 60 KB


class BrokenReplyError(Exception):
    """The child sent an invalid reply."""


class Replies:
    """The replies to one request, limited in bytes and number: a broken child may send anything."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._left_bytes = MAX_BYTES
        self._left_window_bytes = MAX_WINDOW_BYTES
        self._left = MAX_REPLIES

    async def read(self) -> Reply:
        """Return the next reply. Raises BrokenReplyError, or IncompleteReadError at the end of the stream."""
        length = HEADER.unpack(await self._stream.readexactly(HEADER.size))[0]
        self._left_bytes -= length
        self._left -= 1
        if self._left_bytes < 0 or self._left < 0:
            raise BrokenReplyError("sent more than the limit for replies")
        body = await self._stream.readexactly(length)
        try:
            reply = decode_reply(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BrokenReplyError("sent an invalid reply") from error
        if isinstance(reply, WindowTranscribed):
            self._left_window_bytes -= length
            if self._left_window_bytes < 0:
                raise BrokenReplyError("sent more than the limit for windows")
        return reply
