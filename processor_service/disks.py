"""The local disks of a processor: the scratch folder's and the blob store's. While one is full, no work is claimed.

Full means that only the reserve, HEADRACE_MIN_FREE_BYTES, is left. Every PROBE_S one task is claimed all the same, to
write as soon as a write succeeds. If it cannot, it waits with the reason `storage_full`; its attempts are not spent.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from processor_service.telemetry.metrics import DISK_FREE, DISK_FULL
from shared.disk_reserve import free_disk_bytes
from shared.telemetry.logs import Log

log = Log(__name__)

WATCH_S = 1.0
PROBE_S = 10.0


class Disks:
    """Measures the disks in the background; answers from the last measurement."""

    def __init__(self, folders: Mapping[str, Path | None], min_free_bytes: int) -> None:
        """`folders` by the names of metrics.DISKS; None for a bucket."""
        self._folders = {name: folder for name, folder in folders.items() if folder is not None}
        self._min_free_bytes = min_free_bytes
        self._probed_at_s = float("-inf")
        self.full: frozenset[str] = frozenset()

    async def watch(self) -> None:
        """Measure until cancelled. Log when a disk becomes full, and when all have room again."""
        while True:
            await self.measure()
            await asyncio.sleep(WATCH_S)

    async def measure(self) -> None:
        """Measure once. A disk that cannot be measured counts as it was: the next write reports its error."""
        before = self.full
        for name, folder in self._folders.items():
            try:
                free = await asyncio.to_thread(free_disk_bytes, folder)
            except OSError as error:
                log.warning("disk_not_measured", disk=name, error=str(error))
                continue
            is_full = 0 < self._min_free_bytes > free
            self.full = self.full | {name} if is_full else self.full - {name}
            DISK_FREE[name].set(free)
            DISK_FULL[name].set(int(is_full))
        if self.full - before:
            log.error("disk_full", disks=sorted(self.full), min_free_bytes=self._min_free_bytes)
        elif before and not self.full:
            log.info("disk_has_room")

    def may_claim(self) -> bool:
        """Whether to claim a task now: there is room, or it is time to probe."""
        if not self.full:
            return True
        if time.monotonic() - self._probed_at_s < PROBE_S:
            return False
        self._probed_at_s = time.monotonic()
        return True
