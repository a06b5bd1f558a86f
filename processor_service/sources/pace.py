"""The least rate of a source. Counts only the time that we wait for its server, not what the blob store takes."""

import asyncio
from collections.abc import Awaitable, Callable

from processor_service.source_errors import SourceBrokenError

LEAST_BYTES_PER_S = 4096  # a fetch holds a compute slot; speech for a telephone is faster than this


class Pace:
    """Watches one connection."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._waited_s = 0.0
        self._arrived = 0

    async def next(self, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """The next piece; SourceBrokenError when a whole window brought too little."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        piece = await read()
        self._waited_s += clock() - began_s
        self._arrived += len(piece)
        if self._waited_s >= self._window_s:
            if self._arrived < self._waited_s * LEAST_BYTES_PER_S:
                raise SourceBrokenError("sends too slowly")
            self._waited_s, self._arrived = 0.0, 0
        return piece
