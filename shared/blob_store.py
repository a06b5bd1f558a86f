"""The blob store: one small interface over obstore, for a local folder (`file:///…`) or a bucket (`s3://…`).

Everything streams. A put that does not finish leaves nothing behind; a key is visible only when it is whole.
"""

import asyncio
import contextlib
import datetime as dt
import errno
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from shared.local_files import sync, write_whole

READ_BYTES = 1 << 20
PART_BYTES = 8 << 20  # S3 wants parts of 5 MiB or more
PARTS_IN_FLIGHT = 1  # bounds memory per upload to about two parts
SYNCERS = 16  # threads that wait for the disk; it takes the syncs of one moment together
PARTIAL = re.compile(r"#\d+$")  # how obstore names a local file until it is whole
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BlobFacts(NamedTuple):
    """A blob in a listing."""

    key: str
    modified_at: dt.datetime


class BlobStoreError(Exception):
    """The store did not do what was asked: it is away, full or refuses."""


class BlobNotFoundError(BlobStoreError):
    """There is no blob of that key."""


class BlobStoreFullError(BlobStoreError):
    """There is no room left: disk or quota."""


class BlobStore:
    """Blobs by key. Raises BlobNotFoundError for a missing key, BlobStoreError for everything else."""

    def __init__(self, storage_url: str, *, fsync: bool = False) -> None:
        """Open the store of a URL; a local folder is made when missing. BlobStoreError when it cannot be opened.

        `fsync`: a put into a local folder returns only when the disk has it. A bucket has promises of its own.
        """
        parts = urlsplit(storage_url)
        self._root = Path(unquote(parts.path)) if parts.scheme == "file" else None
        try:
            self._store: ObjectStore = (
                LocalStore(self._root, mkdir=True, automatic_cleanup=True) if self._root else from_url(storage_url)
            )
        except (BaseError, OSError, ValueError) as error:
            raise _wrapped(error) from error
        self._syncers = ThreadPoolExecutor(SYNCERS, "fsync") if fsync and self._root else None

    async def put(self, key: str, data: bytes | Path | AsyncIterable[bytes]) -> None:
        """Store bytes, a file or a stream in constant memory. When the stream raises, so does this; nothing stays."""
        try:
            await obstore.put_async(self._store, key, data, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT)
            await self._sync(key)
        except (BaseError, OSError) as error:
            raise _wrapped(error) from error

    async def put_small(self, key: str, data: bytes) -> None:
        """Store bytes that are few: a local disk's cache takes them between two other things that the loop does."""
        if self._root is None:
            await self.put(key, data)
            return
        try:
            write_whole(f"{self._root}/{key}", data)
            await self._sync(key)
        except OSError as error:
            raise _wrapped(error) from error

    async def _sync(self, key: str) -> None:
        """What is not known to last is taken away again."""
        if self._syncers is None or self._root is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._syncers, sync, self._root / key, self._root)
        except BaseException:
            with contextlib.suppress(OSError):
                (self._root / key).unlink()
            raise

    async def get(self, key: str) -> bytes:
        """The whole blob: for small ones, such as a transcript."""
        try:
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())
        except (BaseError, OSError) as error:
            raise _wrapped(error) from error

    async def size(self, key: str) -> int:
        """The length in bytes."""
        try:
            return (await obstore.head_async(self._store, key))["size"]
        except (BaseError, OSError) as error:
            raise _wrapped(error) from error

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Stream the bytes `start` to `end` (exclusive), in pieces of at most 1 MiB."""
        for offset in range(start, end, READ_BYTES):
            try:
                yield bytes(
                    await obstore.get_range_async(self._store, key, start=offset, end=min(offset + READ_BYTES, end))
                )
            except (BaseError, OSError) as error:
                raise _wrapped(error) from error

    async def download(self, key: str, path: Path) -> None:
        """Stream a blob into a local file."""
        size = await self.size(key)
        with path.open("wb") as file:
            async for piece in self.read(key, 0, size):
                file.write(piece)

    def local_path(self, key: str) -> Path | None:
        """Where the blob lies on this machine's disk, or None for a store that is elsewhere."""
        return self._root / key if self._root else None

    def free_bytes(self) -> int | None:
        """The room left on this machine's disk, or None for a store that is elsewhere. BlobStoreError if untold."""
        if self._root is None:
            return None
        try:
            disk = os.statvfs(self._root)
        except OSError as error:
            raise _wrapped(error) from error
        return disk.f_bavail * disk.f_frsize

    async def delete(self, prefix: str) -> None:
        """Delete every blob under a prefix; a missing one is not an error."""
        try:
            async for page in obstore.list(self._store, prefix):
                await obstore.delete_async(self._store, [meta["path"] for meta in page])
        except (BaseError, OSError) as error:
            raise _wrapped(error) from error

    async def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete single blobs; a missing one is not an error."""
        try:
            await obstore.delete_async(self._store, keys)
        except (BaseError, OSError) as error:
            if not isinstance(error, (FileNotFoundError, obstore.exceptions.NotFoundError)):
                raise _wrapped(error) from error

    async def walk(self, prefix: str) -> AsyncIterator[list[BlobFacts]]:
        """All blobs under a prefix, in pages, in no order that may be relied on."""
        try:
            async for page in obstore.list(self._store, prefix):
                yield [BlobFacts(meta["path"], meta["last_modified"]) for meta in page]
        except (BaseError, OSError) as error:
            raise _wrapped(error) from error

    def sweep_partial(self, *, before: dt.datetime) -> int:
        """Delete what uploads left on a local disk whose process was killed; how many. A bucket has its own rules."""
        if self._root is None:
            return 0
        swept = 0
        for path in self._root.rglob("*#*"):
            with contextlib.suppress(FileNotFoundError):
                if PARTIAL.search(path.name) and path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    swept += 1
        return swept

    async def check(self) -> None:
        """Raise BlobStoreError unless the store answers."""
        try:
            await obstore.list_with_delimiter_async(self._store, "health")
        except (BaseError, OSError) as error:
            raise _wrapped(error) from error


def _wrapped(error: Exception) -> BlobStoreError:
    if isinstance(error, (FileNotFoundError, obstore.exceptions.NotFoundError)):
        return BlobNotFoundError("no such blob")
    first_line = f"{type(error).__name__}: {error}".partition("\n")[0]  # obstore adds a long debug dump
    full = getattr(error, "errno", None) in FULL or any(f"(os error {number})" in first_line for number in FULL)
    return BlobStoreFullError(first_line) if full else BlobStoreError(first_line)
