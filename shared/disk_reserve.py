"""The disk reserve: keeps HEADRACE_MIN_FREE_BYTES free on a disk. Every path that writes asks it before it writes.

A write that would use the reserve fails as on a full disk: with OSError ENOSPC. A full disk would stop PostgreSQL, and
with it the work that frees space.
"""

import asyncio
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CACHED_S = 0.5  # how long a measurement counts; what was admitted since then is subtracted
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NEARLY_NOTHING_BYTES = 1 << 20  # a disk with less is full, whatever error its file system reports


class ReserveError(OSError):
    """The write would use the disk's reserve. Not an error of the disk."""

    def __init__(self) -> None:
        super().__init__(errno.ENOSPC, "the disk has no more free space than its reserve")


def free_disk_bytes(folder: Path) -> int:
    """Return the bytes that this process may still write to the folder's disk. Raises OSError."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def require_room(folder: Path, min_free_bytes: int, more_bytes: int = 0) -> None:
    """Raise ReserveError if writing so many more bytes would use the reserve. 0: no reserve."""
    if min_free_bytes and free_disk_bytes(folder) - more_bytes < min_free_bytes:
        raise ReserveError


def is_full(error: BaseException) -> bool:
    """Whether an error means that a disk or its quota is full, or has only its reserve left."""
    return isinstance(error, OSError) and error.errno in FULL


class DiskReserve:
    """The reserve of one disk, for an event loop: measures in a thread of its own, at most every CACHED_S."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._left_bytes: int | None = None  # None: not measured yet
        self._first = asyncio.Lock()
        self._measured_at_s = float("-inf")
        self._thread = ThreadPoolExecutor(1, "disk-reserve")  # starts with the first measurement

    async def require(self, more_bytes: int) -> None:
        """Admit a write of so many bytes. Raise ReserveError if it would use the reserve."""
        if not self._min_free_bytes:
            return
        left_bytes = await self._measured()
        if more_bytes > left_bytes:
            raise ReserveError
        self._left_bytes = left_bytes - more_bytes

    async def _measured(self) -> int:
        """Return what is left above the reserve, by a measurement that is fresh enough."""
        if self._left_bytes is None:
            async with self._first:  # concurrent writes wait for the first measurement, and use the previous one later
                return await self._measure() if self._left_bytes is None else self._left_bytes
        if asyncio.get_running_loop().time() - self._measured_at_s > CACHED_S:
            return await self._measure()
        return self._left_bytes

    async def _measure(self) -> int:
        loop = asyncio.get_running_loop()
        self._measured_at_s = loop.time()
        self._left_bytes = (
            await loop.run_in_executor(self._thread, free_disk_bytes, self._folder) - self._min_free_bytes
        )
        return self._left_bytes
