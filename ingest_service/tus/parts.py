"""Receives the body of one request into the blob store, as parts behind the upload's offset. Constant memory.

Whatever ends the body early (a reset, a pace too slow, a newer request), the bytes that arrived are stored and count.
With a checksum nothing counts before it was verified. A part is closed after a while even when its client is slow: a
process that is killed loses no more than that, and nothing that it acknowledged.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from litestar.types import Receive

from ingest_service.errors import ClientGoneError, RefusedError
from ingest_service.tus.headers import Checksum
from ingest_service.tus.leases import Hold
from ingest_service.tus.records import UploadRecords
from ingest_service.tus.upload import Part
from ingest_service.uploads.body import read_body
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.media.sniff_container import ACCEPTED, HEAD_BYTES, sniff_container
from shared.telemetry.logs import Log

log = Log(__name__)

PART_BYTES = 64 << 20
PART_S = 10.0

INTERRUPTIONS = frozenset({"upload_stalled", "upload_taken_over", "client_gone"})


class PartReceiver:
    """Receives one body; the hold's upload moves on with it."""

    def __init__(self, blobs: BlobStore, records: UploadRecords, hold: Hold, checksum: Checksum | None) -> None:
        self._blobs = blobs
        self._records = records
        self._hold = hold
        self._checksum = checksum
        self._hasher = checksum.hasher() if checksum else None
        self._written: list[Part] = []  # in the store, not yet in the record
        self._part_bytes = 0
        self._received = 0
        self._limit_bytes = 0
        self._head = b""  # of the upload, until it was looked at
        self._is_told = hold.upload.offset_bytes >= HEAD_BYTES
        self._interruption: RefusedError | ClientGoneError | None = None

    async def receive(self, receive: Receive, limit_bytes: int) -> None:
        """Store at most `limit_bytes`.

        Raises what interrupted it, once what came before is stored; RefusedError `too_large`, `unsupported_media` or
        `checksum_mismatch`, OutageError and BlobStoreError, and then has left nothing that does not count.
        """
        self._limit_bytes = limit_bytes
        if not self._is_told:
            self._head = await self._stored_head()
        try:
            await self._store_parts(self._pieces(receive))
            if self._checksum:
                await self._count_verified(self._checksum)
        except BaseException:  # a cancelled request must not leave its part either
            await asyncio.shield(self._discard())
            raise
        if self._interruption:
            raise self._interruption

    async def _store_parts(self, pieces: AsyncIterator[bytes]) -> None:
        while piece := await anext(pieces, b""):
            upload = self._hold.upload
            start = upload.offset_bytes + sum(part.bytes for part in self._written)
            key = blob_keys.upload_part(upload.id, start, upload.lease_token)
            self._written.append(Part(start, 0, upload.lease_token))
            await self._blobs.put(key, self._one_part(piece, pieces))
            self._written[-1] = Part(start, self._part_bytes, upload.lease_token)
            failpoint("uploads.after_part")
            if not self._checksum:
                await self._count()

    async def _one_part(self, piece: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        self._part_bytes = 0
        while piece:
            self._part_bytes += len(piece)
            yield piece
            if self._may_close() and (self._part_bytes >= PART_BYTES or clock() - began_s >= PART_S):
                return
            piece = await anext(pieces, b"")

    def _may_close(self) -> bool:
        """Not at the upload's end: there one byte more, which is one too many, would come too late."""
        return self._received < self._limit_bytes

    async def _pieces(self, receive: Receive) -> AsyncIterator[bytes]:
        try:
            async for piece in read_body(partial(self._hold.until_wanted, receive)):
                self._received += len(piece)
                if self._received > self._limit_bytes:
                    raise too_long(self._limit_bytes)
                self._look_at(piece)
                yield piece
        except (RefusedError, ClientGoneError) as error:
            if error.code not in INTERRUPTIONS:
                raise
            self._interruption = error

    def _look_at(self, piece: bytes) -> None:
        if self._hasher:
            self._hasher.update(piece)
        if not self._is_told:
            self._head += piece[: HEAD_BYTES - len(self._head)]
            if not self._checksum:  # else it may be a mistake on the way
                self._tell()

    def _tell(self) -> None:
        if self._is_told or len(self._head) < HEAD_BYTES:
            return
        if sniff_container(self._head) is None:
            raise RefusedError("unsupported_media", f"Invalid format. Accepted are {ACCEPTED}.")
        self._is_told = True

    async def _stored_head(self) -> bytes:
        upload = self._hold.upload
        parts = await self._records.parts(upload) if upload.offset_bytes else []
        keys = [blob_keys.upload_part(upload.id, part.offset_bytes, part.lease_token) for part in parts]
        return b"".join([await self._blobs.get(key) for key in keys])

    async def _count_verified(self, checksum: Checksum) -> None:
        if self._interruption:  # what is not whole cannot be verified
            raise self._interruption
        checksum.verify(self._hasher)
        self._tell()
        if self._written:
            await self._count()

    async def _count(self) -> None:
        parts, self._written = self._written, []  # if this breaks, nobody knows whether they count: they stay
        self._hold.upload = await self._records.add_parts(self._hold.upload, parts)
        failpoint("uploads.after_count")

    async def _discard(self) -> None:
        upload = self._hold.upload
        keys = [blob_keys.upload_part(upload.id, part.offset_bytes, part.lease_token) for part in self._written]
        try:
            for key in keys:
                await self._blobs.delete_keys([key])
        except BlobStoreError as error:  # the first error is the one to tell; the processor sweeps
            log.warning("parts_not_deleted", upload_id=upload.id, error=str(error))


def too_long(left_bytes: int) -> RefusedError:
    """The refusal of a body that goes beyond its upload's end."""
    return RefusedError("too_large", f"The body goes beyond the upload's end: {left_bytes} bytes were left.")
