"""The check of free space has a thread of its own, and does not wait for a file system that hangs."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest_service.errors import OutageError
from ingest_service.uploads import free_space
from ingest_service.uploads.free_space import FreeSpace
from shared.blobs.blob_store import BlobStore


class Hanging(BlobStore):
    """A store whose file system answers when it is released."""

    def __init__(self, storage_url: str) -> None:
        super().__init__(storage_url)
        self.released = threading.Event()
        self.asked = 0

    def free_bytes(self) -> int | None:
        self.asked += 1
        self.released.wait()
        return 100


async def test_a_file_system_that_hangs_stops_no_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_space, "FREE_SPACE_TIMEOUT_S", 0.01)
    monkeypatch.setattr(free_space, "FREE_SPACE_CACHED_S", -1.0)
    blobs = Hanging(f"file://{tmp_path}")
    free = FreeSpace(blobs, min_free_bytes=1000)
    for _ in range(5):
        await free.require(10)
    assert blobs.asked == 1
    blobs.released.set()
    monkeypatch.setattr(free_space, "FREE_SPACE_TIMEOUT_S", 20.0)
    with pytest.raises(OutageError):
        await free.require(10)


def test_the_shared_threads_may_be_busy(tmp_path: Path) -> None:
    async def check() -> None:
        busy, loop = threading.Event(), asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        waiting = loop.run_in_executor(None, busy.wait)
        try:
            await FreeSpace(BlobStore(f"file://{tmp_path}"), min_free_bytes=1).require(1)
        finally:
            busy.set()
            await waiting

    asyncio.run(check())
