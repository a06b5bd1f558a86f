"""A prefix of a bucket as a place. Credentials are those of obstore: `AWS_*`, `GOOGLE_*`, `AZURE_*`."""

from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError

from deploy.command.api import shown_url
from deploy.command.errors import SourceError, UsageError
from deploy.command.watcher.places import Entry, PlaceError, is_audio
from shared.blobs.blob_errors import describe
from shared.blobs.bucket import open_bucket

if TYPE_CHECKING:  # obstore has no such name at run time
    from obstore import ObjectMeta

REQUEST_TIMEOUT_S = 60.0
RETRY_S = 30.0
PART_BYTES = 8 << 20  # of one request, so that a large object does not need a longer one
FAILURES = (BaseError, OSError)
T = TypeVar("T")


class BucketPlace:
    """Objects below a prefix. `excluded`: a folder below it that is not scanned."""

    is_atomic = True

    def __init__(self, url: str, excluded: str | None = None) -> None:
        self.name = shown_url(url)
        self._excluded = excluded
        try:
            self._store = open_bucket(url, timeout_s=REQUEST_TIMEOUT_S, retry_s=RETRY_S)
        except (BaseError, ValueError) as error:
            raise UsageError(f"Cannot use {self.name}: {describe(error)}") from error

    async def scan(self) -> list[Entry]:
        found = []
        try:
            async for page in obstore.list(self._store, chunk_size=1000):
                found += [_entry(each) for each in page if self._is_wanted(each["path"])]
        except FAILURES as error:
            raise self._error(error) from error
        return found

    async def find(self, path: str) -> Entry | None:
        try:
            return _entry(await obstore.head_async(self._store, path))
        except (NotFoundError, FileNotFoundError):
            return None
        except FAILURES as error:
            raise self._error(error) from error

    async def read(self, entry: Entry) -> AsyncIterator[bytes]:
        for start in range(0, entry.bytes, PART_BYTES):
            end = min(start + PART_BYTES, entry.bytes)
            try:
                answer = await obstore.get_async(
                    self._store, entry.path, options={"range": (start, end), "if_match": entry.stamp}
                )
                yield bytes(await answer.bytes_async())
            except (NotFoundError, FileNotFoundError, PreconditionError) as error:
                raise SourceError("The object changed during the upload.") from error
            except FAILURES as error:
                raise self._error(error) from error

    async def get(self, path: str) -> bytes | None:
        try:
            answer = await obstore.get_async(self._store, path)
            return bytes(await answer.bytes_async())
        except (NotFoundError, FileNotFoundError):
            return None
        except FAILURES as error:
            raise self._error(error) from error

    async def put(self, path: str, content: bytes) -> None:
        await self._done(obstore.put_async(self._store, path, content, use_multipart=False))

    async def create(self, path: str, content: bytes) -> bool:
        try:
            await obstore.put_async(self._store, path, content, mode="create", use_multipart=False)
        except (AlreadyExistsError, FileExistsError, PreconditionError):
            return False
        except FAILURES as error:
            raise self._error(error) from error
        return True

    async def remove(self, path: str) -> None:
        try:
            await obstore.delete_async(self._store, path)
        except (NotFoundError, FileNotFoundError):
            return
        except FAILURES as error:
            raise self._error(error) from error

    async def move(self, path: str, to: str) -> None:
        await self._done(obstore.copy_async(self._store, path, to))
        await self.remove(path)

    def _is_wanted(self, path: str) -> bool:
        *folders, name = path.split("/")
        is_excluded = self._excluded is not None and folders[:1] == [self._excluded]
        is_plain = "\0" not in path and not any(each.startswith(".") or not each for each in folders)  # also no `..`
        return is_plain and not is_excluded and is_audio(name)

    async def _done(self, request: Awaitable[T]) -> T:
        try:
            return await request
        except FAILURES as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> PlaceError:
        return PlaceError(f"{self.name}: {describe(error)}")


def _entry(found: "ObjectMeta") -> Entry:
    stamp = found.get("e_tag") or str(found["last_modified"].timestamp())
    return Entry(found["path"], found["size"], stamp, stamp, found["last_modified"].timestamp())
