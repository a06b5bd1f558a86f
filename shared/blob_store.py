"""The blob store: one small interface over obstore, for a local folder (`file:///…`) or a bucket (`s3://…`).

Everything streams. A put that does not finish leaves nothing behind; a key is visible only when it is whole.
"""

import errno
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

READ_BYTES = 1 << 20
PART_BYTES = 8 << 20  # S3 wants parts of 5 MiB or more
PARTS_IN_FLIGHT = 1  # bounds memory per upload to about two parts


class BlobStoreError(Exception):
    """The store did not do what was asked: it is away, full or refuses."""


class BlobNotFoundError(BlobStoreError):
    """There is no blob of that key."""


class BlobStoreFullError(BlobStoreError):
    """There is no room left: disk or quota."""


class BlobStore:
    """Blobs by key. Raises BlobNotFoundError for a missing key, BlobStoreError for everything else."""

    def __init__(self, storage_url: str) -> None:
        """Open the store of a URL; a local folder is made when missing. BlobStoreError when it cannot be opened."""
        parts = urlsplit(storage_url)
        self._root = Path(unquote(parts.path)) if parts.scheme == "file" else None
        try:
            self._store: ObjectStore = (
                LocalStore(self._root, mkdir=True, automatic_cleanup=True) if self._root else from_url(storage_url)
            )
        except (BaseError, OSError, ValueError) as error:
            raise _wrapped(error) from error

    async def put(self, key: str, data: bytes | Path | AsyncIterable[bytes]) -> None:
        """Store bytes, a file or a stream in constant memory. When the stream raises, so does this; nothing stays."""
        try:
            await obstore.put_async(self._store, key, data, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT)
        except (BaseError, OSError) as error:
            raise _wrapped(error) from error

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

    async def delete(self, prefix: str) -> None:
        """Delete every blob under a prefix; a missing one is not an error."""
        try:
            async for page in obstore.list(self._store, prefix):
                await obstore.delete_async(self._store, [meta["path"] for meta in page])
        except (BaseError, OSError) as error:
            raise _wrapped(error) from error

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
    full = any(f"(os error {number})" in first_line for number in (errno.ENOSPC, errno.EDQUOT))
    return BlobStoreFullError(first_line) if full else BlobStoreError(first_line)
