"""Downloads an object of a bucket that the operator allows, as `download` does a URL: the same bounds, the same errors.

Each piece is one request, which names the object's tag: an object that changes meanwhile is downloaded again from its
first byte. This module stores nothing.
"""

from collections.abc import AsyncIterator

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore

from processor_service import errors
from processor_service.settings import ProcessorSettings
from processor_service.sources.download import REFUSALS, Pace
from shared.blobs.blob_errors import describe
from shared.blobs.bucket import open_bucket
from shared.schemas.bucket_urls import BucketUrl, is_allowed, parse_bucket_url
from shared.telemetry.logs import Log

log = Log(__name__)

PIECE_BYTES = 8 << 20


class BucketObject:
    """One download, from its first byte."""

    def __init__(self, url: str, tenant: str, settings: ProcessorSettings) -> None:
        """Raise TaskError if the tenant may not read the object."""
        found = parse_bucket_url(url)
        if found is None or not is_allowed(found, settings.source_buckets, tenant):
            raise errors.source_blocked("this server does not allow this bucket or folder")
        self._url: BucketUrl = found
        self._settings = settings
        self._pace = Pace(settings)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield all bytes, in pieces that are not empty. Raises errors.SourceChangedError, or TaskError."""
        try:
            store = open_bucket(
                self._url.root, timeout_s=self._settings.storage_timeout_s, retry_s=self._settings.storage_retry_s
            )
            size, tag = await self._facts(store)
            for offset in range(0, size, PIECE_BYTES):
                self._pace.start_window(offset)
                yield await self._piece(store, offset, min(offset + PIECE_BYTES, size), tag)
        except errors.SourceBrokenError as error:
            raise error.failure from None
        except (BaseError, OSError, ValueError) as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Do nothing: no connection outlives its piece."""

    async def _facts(self, store: ObjectStore) -> tuple[int, str | None]:
        found = await obstore.head_async(store, self._url.key)
        if found["size"] > self._settings.max_upload_bytes:
            raise errors.source_too_large(self._settings.max_upload_bytes)
        return found["size"], found["e_tag"]

    async def _piece(self, store: ObjectStore, start: int, end: int, tag: str | None) -> bytes:
        options: obstore.GetOptions = {"range": (start, end)}
        if tag:
            options["if_match"] = tag
        piece = await self._pace.waiting(_read(store, self._url.key, options))
        if len(piece) < end - start:
            raise errors.SourceBrokenError("sent fewer bytes than it declared")
        self._pace.received(end, end)
        return piece

    def _failure(self, error: Exception) -> Exception:
        """Return the error for one of obstore. Its text names the key, which is in no log."""
        match error:
            case PreconditionError():
                return errors.SourceChangedError("changed the content during the download")
            case FileNotFoundError() | NotFoundError():
                return errors.source_refused(REFUSALS[404])
            case PermissionDeniedError():
                return errors.source_refused(REFUSALS[403])
            case UnauthenticatedError():
                return errors.source_refused(REFUSALS[401])
        log.warning("source_bucket_failed", bucket=self._url.bucket, error=describe(error).partition(":")[0])
        return errors.source_unavailable("did not answer as a bucket does")


async def _read(store: ObjectStore, key: str, options: "obstore.GetOptions") -> bytes:
    result = await obstore.get_async(store, key, options=options)
    return bytes(await result.bytes_async())
