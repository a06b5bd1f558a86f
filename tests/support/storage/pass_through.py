"""Write a large blob to a store, read it back, and print by how many MiB this process grew.

Usage: `python -m tests.support.storage.pass_through <url> <megabytes>`. Linux only: it reads /proc.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from shared.blobs.blob_store import BlobStore
from tests.support.ingest.sounds import MIB
from tests.support.ingest.upload_memory import peak_mib, reset_peak

KEY = "jobs/one/source"
WARM_MIB = 24


async def stream(megabytes: int) -> AsyncIterator[bytes]:
    for number in range(megabytes):
        for part in range(16):
            yield bytes([number % 256, part]) * (MIB // 32)


async def pass_through(blobs: BlobStore, megabytes: int, folder: Path) -> None:
    await blobs.put(KEY, stream(megabytes))
    read = 0
    async for piece in blobs.read(KEY, 0, await blobs.size(KEY)):
        read += len(piece)
    await blobs.download(KEY, folder / "copy")
    await blobs.put(KEY, folder / "copy")
    assert read == (folder / "copy").stat().st_size == megabytes * MIB
    (folder / "copy").unlink()


async def main(url: str, megabytes: int) -> None:
    blobs = BlobStore(url)
    with tempfile.TemporaryDirectory() as folder:
        await pass_through(blobs, WARM_MIB, Path(folder))
        reset_peak(os.getpid())
        before_mib = peak_mib(os.getpid())
        await pass_through(blobs, megabytes, Path(folder))
        print(round(peak_mib(os.getpid()) - before_mib, 1))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
