"""Keeps a reserve on the disk of the blob store: an upload that would eat into it is refused before it is read.

The queue may grow without limit in time, not in disk: a full one would stop Postgres, and with it the work that makes
room again. Only a guard: uploads side by side may overrun it together; the store tells when there is no room at all.
"""

import asyncio

from ingest_service.errors import OutageError
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.telemetry.logs import Log

log = Log(__name__)

FRESH_S = 1.0  # how long an answer of the disk is good for


class FreeSpace:
    """What the disk last said. A store that is elsewhere has always room."""

    def __init__(self, blobs: BlobStore, min_free_bytes: int) -> None:
        self._blobs = blobs
        self._min_free_bytes = min_free_bytes
        self._free_bytes: int | None = None
        self._asked_at_s = float("-inf")

    async def require(self, upload_bytes: int) -> None:
        """Raise OutageError `storage_full` when the reserve would not be left beside so many bytes."""
        if not self._min_free_bytes:
            return
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_at_s > FRESH_S:
            self._asked_at_s = now_s  # first: those who come meanwhile go by the last answer
            self._free_bytes = await asyncio.to_thread(self._ask)  # a network's file system may take its time
        if not has_room(self._free_bytes, upload_bytes, self._min_free_bytes):
            raise OutageError("storage_full", "There is no room for the audio.")

    def _ask(self) -> int | None:
        try:
            return self._blobs.free_bytes()
        except BlobStoreError as error:  # storing will say what is wrong with it
            log.warning("free_space_unknown", error=str(error))
            return None


def has_room(free_bytes: int | None, upload_bytes: int, min_free_bytes: int) -> bool:
    """Whether so much stays free; what is not known does not keep anybody out."""
    return free_bytes is None or free_bytes - upload_bytes >= min_free_bytes
