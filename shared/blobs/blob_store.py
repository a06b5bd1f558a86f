"""The blob store: one small interface over obstore, for a local folder (`file:///…`) or a bucket (`s3://…` and others).

Everything streams. A put that does not finish leaves nothing behind; a blob is visible only when it is complete.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from shared.blobs.blob_errors import MISSING, BlobNotFoundError, BlobStoreError, says_no_bucket, wrapped
from shared.blobs.blob_facts import BlobFacts, BlobLook, BlobVersion, SignedPut
from shared.blobs.bucket import open_bucket, put_into_bucket
from shared.blobs.local_files import files_in_order, remove, sync, write_whole
from shared.disk_reserve import DiskReserve, free_disk_bytes, require_room
from shared.ids import PLAIN, SPREADING, new_id
from shared.secret import Secret

READ_BYTES = 1 << 20
DOWNLOAD_BYTES = 8 << 20  # larger than pieces for clients, which a slow client would hold in memory
PART_BYTES = 8 << 20
LIST_PAGE = 1000  # keys; a request to S3 lists at most so many
DELETES_AT_ONCE = 20  # requests for single keys, where a bucket has no request for many
PARTS_IN_FLIGHT = 1  # bounds memory per upload to about two parts
SYNCERS = 16  # threads that wait for the disk, which merges concurrent syncs
REMOVERS = 4
SIGNING = (S3Store, GCSStore, AzureStore)
AZURE_PUT = {"x-ms-blob-type": "BlockBlob"}  # a signature cannot replace this header
COPY_TIMEOUT_S = 300.0  # a server may take a minute to copy gigabytes inside the bucket


class BlobStore:
    """Blobs by key. Raises BlobNotFoundError for a missing key, BlobStoreError for everything else."""

    def __init__(
        self,
        storage_url: str,
        *,
        fsync: bool = False,
        timeout_s: float = 30.0,
        retry_s: float = 10.0,
        min_free_bytes: int = 0,
    ) -> None:
        """Open the store of a URL and create a missing local folder. Raise BlobStoreError when it cannot be opened.

        `fsync`: a put into a local folder returns when the bytes are on disk. Buckets give their own guarantees.
        `timeout_s`, `retry_s`: for buckets, see `open_bucket`.
        `min_free_bytes`: a write that would leave less on a local disk raises BlobStoreFullError.
        """
        parts = urlsplit(storage_url)
        self.spreads = False  # whether new jobs and uploads get spreading keys
        self.key_prefix = "" if parts.scheme in {"file", "memory"} else f"{unquote(parts.path).strip('/')}/".lstrip("/")
        self._root = Path(unquote(parts.path)) if parts.scheme == "file" else None
        try:
            self._store: ObjectStore = (
                LocalStore(self._root, mkdir=True, automatic_cleanup=True)
                if self._root
                else open_bucket(storage_url, timeout_s=timeout_s, retry_s=retry_s)
            )
        except (BaseError, OSError, ValueError) as error:
            raise wrapped(error) from error
        self._copying = partial(open_bucket, storage_url, timeout_s=max(timeout_s, COPY_TIMEOUT_S), retry_s=retry_s)
        self._min_free_bytes = min_free_bytes
        self._reserve = DiskReserve(self._root, min_free_bytes) if self._root else None
        self._removers = ThreadPoolExecutor(REMOVERS, "remove") if self._root else None
        self._syncers = ThreadPoolExecutor(SYNCERS, "fsync") if fsync and self._root else None

    def new_id(self) -> UUID:
        """Return a new id of a job or an upload, whose blobs will be stored here."""
        return new_id(SPREADING if self.spreads else PLAIN)

    async def put(self, key: str, data: bytes | Path | AsyncIterable[bytes]) -> None:
        """Store bytes, a file or a stream in constant memory. If the stream raises, nothing is stored."""
        with self._wrapping():
            if self._root is None:
                await put_into_bucket(self._store, key, data)
            else:
                admitted = await self._admitted(data)
                await obstore.put_async(
                    self._store, key, admitted, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT
                )
                await self._sync(key)

    async def put_small(self, key: str, data: bytes) -> None:
        """Store a few bytes. For a local folder this blocks the loop while they go to the disk's cache."""
        if self._root is None:
            await self.put(key, data)
            return
        try:
            await self._require_room(len(data))
            write_whole(f"{self._root}/{key}", data)
            await self._sync(key)
        except OSError as error:
            raise wrapped(error) from error

    async def _require_room(self, more_bytes: int) -> None:
        """Raise ReserveError, an OSError, if a write of so many bytes would use the reserve of a local disk."""
        if self._reserve is not None:
            await self._reserve.require(more_bytes)

    async def _admitted(self, data: bytes | Path | AsyncIterable[bytes]) -> bytes | Path | AsyncIterable[bytes]:
        """Ask the reserve for all bytes of the data before they are written; for a stream, piece by piece."""
        if isinstance(data, bytes):
            await self._require_room(len(data))
        elif isinstance(data, Path):
            await self._require_room(data.stat().st_size)  # noqa: ASYNC240 - instant, and the file is local
        else:
            await self._require_room(0)
            return self._piecewise(data)
        return data

    async def _piecewise(self, stream: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for piece in stream:
            await self._require_room(len(piece))
            yield piece

    async def _sync(self, key: str) -> None:
        """Sync a local blob. Delete it if the sync fails."""
        if self._syncers is None or self._root is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._syncers, sync, self._root / key, self._root)
        except BaseException:
            with contextlib.suppress(OSError):
                (self._root / key).unlink()
            raise

    async def get(self, key: str) -> bytes:
        """Return the whole blob; for small ones, such as a transcript."""
        with self._wrapping():
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())

    async def size(self, key: str) -> int:
        """Return the length in bytes."""
        return (await self.version(key)).size

    async def version(self, key: str) -> BlobVersion:
        """Return the length in bytes, the tag of the content and when it was stored."""
        try:
            with self._wrapping():
                found = await obstore.head_async(self._store, key)
                modified_at = found["last_modified"]
                return BlobVersion(key, found["size"], found["e_tag"] or modified_at.isoformat(), modified_at)
        except BlobNotFoundError:
            if self._root is None:
                await self.check()  # HEAD does not say that the bucket is missing: that is not a missing blob
            raise

    async def read(self, key: str, start: int, end: int, *, piece_bytes: int = READ_BYTES) -> AsyncIterator[bytes]:
        """Stream the bytes `start` to `end` (exclusive), in pieces of at most `piece_bytes`.

        Each piece is one request: a slow reader holds no connection and does not run into a request's timeout.
        """
        for offset in range(start, end, piece_bytes):
            with self._wrapping():
                piece = await obstore.get_range_async(
                    self._store, key, start=offset, end=min(offset + piece_bytes, end)
                )
            yield bytes(piece)

    async def download(self, key: str, path: Path) -> None:
        """Stream a blob into a local file. The reserve applies to that file's disk."""
        size = await self.size(key)
        with self._wrapping(), path.open("wb") as file:
            await asyncio.to_thread(require_room, path.parent, self._min_free_bytes, size)
            async for piece in self.read(key, 0, size, piece_bytes=DOWNLOAD_BYTES):
                await asyncio.to_thread(require_room, path.parent, self._min_free_bytes, len(piece))
                file.write(piece)

    async def look(self, key: str, head_bytes: int) -> BlobLook:
        """Return the blob's size and type and at most `head_bytes` of its start."""
        size = await self.size(key)
        if not size:  # an empty blob has no range
            return BlobLook(0, b"", None)
        with self._wrapping():
            result = await obstore.get_async(self._store, key, options={"range": (0, min(size, head_bytes))})
            head = bytes(await result.bytes_async())
        return BlobLook(result.meta["size"], head, result.attributes.get("Content-Type"))

    async def copy(self, key: str, new_key: str) -> None:
        """Copy a blob inside the store, not through this process. Buckets copy at most 5 GB."""
        # With a longer timeout: the request is answered when the copy is complete.
        store = self._copying() if isinstance(self._store, SIGNING) else self._store
        if self._reserve is not None:
            size = await self.size(key)
            with self._wrapping():
                await self._require_room(size)
        with self._wrapping():
            await obstore.copy_async(store, key, new_key)

    async def download_url(self, key: str, *, expires_s: float) -> str | None:
        """Return a presigned URL to download the blob, or None for a local folder. Sends no request."""
        return await self._sign("GET", key, expires_s)

    async def upload_url(self, key: str, *, expires_s: float) -> SignedPut | None:
        """Return a presigned request to store the blob, or None for a local folder. Sends no request."""
        url = await self._sign("PUT", key, expires_s)
        return SignedPut(Secret(url), AZURE_PUT if isinstance(self._store, AzureStore) else {}) if url else None

    async def _sign(self, method: Literal["GET", "PUT"], key: str, expires_s: float) -> str | None:
        if not isinstance(self._store, SIGNING):
            return None
        with self._wrapping():
            return await obstore.sign_async(self._store, method, key, dt.timedelta(seconds=expires_s))

    def local_path(self, key: str) -> Path | None:
        """Return the blob's path, or None for a bucket."""
        return self._root / key if self._root else None

    def free_bytes(self) -> int | None:
        """Return the free bytes of the local disk, or None for a bucket. Raise BlobStoreError when unknown."""
        if self._root is None:
            return None
        with self._wrapping():
            return free_disk_bytes(self._root)

    async def delete(self, prefix: str) -> None:
        """Delete every blob under a prefix; a missing one is not an error."""
        with self._wrapping():
            async for page in obstore.list(self._store, prefix, chunk_size=LIST_PAGE):
                await self._delete([meta["path"] for meta in page])

    async def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete single blobs; a missing one is not an error. S3 gets one request for 1,000 keys."""
        with self._wrapping():
            await self._delete(keys)

    async def _delete(self, keys: Sequence[str]) -> None:
        if self._root is not None:
            await asyncio.get_running_loop().run_in_executor(self._removers, remove, self._root, keys)
            return
        try:
            await obstore.delete_async(self._store, keys)
        except MISSING as error:  # in some stores this error leaves other keys undeleted
            if says_no_bucket(error):
                raise
            for start in range(0, len(keys), DELETES_AT_ONCE):
                await asyncio.gather(*map(self._delete_one, keys[start : start + DELETES_AT_ONCE]))

    async def _delete_one(self, key: str) -> None:
        with contextlib.suppress(*MISSING):
            await obstore.delete_async(self._store, key)

    async def walk(self, prefix: str) -> AsyncIterator[list[BlobFacts]]:
        """List all blobs under a prefix, in pages, in no defined order."""
        with self._wrapping():
            async for page in obstore.list(self._store, prefix, chunk_size=LIST_PAGE):
                yield _facts(page)

    async def scan(self, prefix: str, after: str = "") -> AsyncIterator[list[BlobFacts]]:
        """List the blobs under a prefix by key, in pages, from the first key after `after`.

        A local folder also lists partial files, see `is_partial`. Azure lists from the start and skips.
        """
        with self._wrapping():
            if self._root is not None:
                files = files_in_order(self._root, f"{prefix}/", after)
                while page := await asyncio.to_thread(lambda: list(islice(files, LIST_PAGE))):
                    yield page
                return
            async for found in obstore.list(self._store, prefix, offset=after or None, chunk_size=LIST_PAGE):
                yield _facts(found)

    async def folders(self) -> list[str]:
        """Return the folders at the root of the store."""
        with self._wrapping():
            return list((await obstore.list_with_delimiter_async(self._store))["common_prefixes"])

    async def check(self) -> None:
        """Raise BlobStoreError unless the store answers."""
        try:
            with self._wrapping():
                await obstore.list_with_delimiter_async(self._store, "health")
        except BlobNotFoundError as error:
            raise BlobStoreError("the bucket does not exist") from error

    @contextlib.contextmanager
    def _wrapping(self) -> Iterator[None]:
        """Translate obstore's errors. A bucket's error is not chained: it repeats the server's answer."""
        try:
            yield
        except (BaseError, OSError) as error:
            raise wrapped(error) from (error if self._root else None)


def _facts(page: Sequence["obstore.ObjectMeta"]) -> list[BlobFacts]:
    return [BlobFacts(meta["path"], meta["last_modified"], meta["size"]) for meta in page]
