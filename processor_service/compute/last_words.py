"""What a child says on standard error: passed on to the log, in moderation; the end of it is kept for when it dies."""

import asyncio

from shared.telemetry.logs import Log

log = Log(__name__)

READ_BYTES = 16 << 10
PAUSE_S = 0.05  # what is said in one breath is one event
LOGGED_BYTES = 64 << 10  # of a child; a line in a loop must not fill the log
KEPT_BYTES = 16 << 10
END_S = 1.0  # for what a dead child has left in the pipe
NOISE = "\nExtension modules:"  # the long list of names with which Python's report of a crash ends


class LastWords:
    """The standard error of one child, read as long as it lives so that it never waits for a reader."""

    def __init__(self, stream: asyncio.StreamReader, pid: int) -> None:
        self._pid = pid
        self._logged_bytes = 0
        self._kept = b""
        self._reading = asyncio.create_task(self._read(stream))

    async def at_the_end(self) -> str:
        """The last words of a child that is dead."""
        await asyncio.wait([self._reading], timeout=END_S)
        return self._kept.decode(errors="replace").partition(NOISE)[0].strip()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while said := await stream.read(READ_BYTES):
            self._kept = (self._kept + said)[-KEPT_BYTES:]
            self._logged_bytes += len(said)
            if self._logged_bytes <= LOGGED_BYTES:
                log.warning("compute_child_said", pid=self._pid, text=said.decode(errors="replace").strip())
            await asyncio.sleep(PAUSE_S)
