"""Refuses an upload that would use the reserve of the blob store's disk."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ingest_service.errors import OutageError
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.telemetry.logs import Log

log = Log(__name__)

FREE_SPACE_CACHED_S = 1.0
FREE_SPACE_TIMEOUT_S = 2.0


class FreeSpace:
    """Keeps a reserve on the blob store's disk: refuses an upload that would use it, before its body is read.

    A full disk would stop Postgres, and with it the work that frees space. The check is approximate: concurrent
    uploads may overrun the reserve; a write to a full store fails by itself. A bucket always has room.
    """

    def __init__(self, blobs: BlobStore, min_free_bytes: int) -> None:
        self._blobs = blobs
        self._min_free_bytes = min_free_bytes
        self._free_bytes: int | None = None
        self._asking = ThreadPoolExecutor(1, "free-space")  # its own: no other work may delay uploads
        self._asked: asyncio.Future[int | None] | None = None
        self._asked_at_s = float("-inf")

    async def require(self, upload_bytes: int) -> None:
        """Raise OutageError `storage_full` if the upload would use the reserve."""
        if not self._min_free_bytes:
            return
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_at_s > FREE_SPACE_CACHED_S:
            self._asked_at_s = now_s  # first: concurrent requests use the previous value
            self._free_bytes = await self._ask_in_time()
        if not has_room(self._free_bytes, upload_bytes, self._min_free_bytes):
            raise OutageError("storage_full", "The blob store is full. Try again later.")

    async def _ask_in_time(self) -> int | None:
        """Ask in a thread: a network file system may be slow. If it hangs, one thread waits and nothing is known."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().run_in_executor(self._asking, self._ask)
        done, _ = await asyncio.wait([self._asked], timeout=FREE_SPACE_TIMEOUT_S)
        if not done:
            log.warning("free_space_unknown", error=f"no answer in {FREE_SPACE_TIMEOUT_S:.0f} s")
            return None
        return self._asked.result()

    def _ask(self) -> int | None:
        try:
            return self._blobs.free_bytes()
        except BlobStoreError as error:  # the write will report the error
            log.warning("free_space_unknown", error=str(error))
            return None


def has_room(free_bytes: int | None, upload_bytes: int, min_free_bytes: int) -> bool:
    """Whether the reserve stays free. An unknown amount of free space counts as enough."""
    return free_bytes is None or free_bytes - upload_bytes >= min_free_bytes
