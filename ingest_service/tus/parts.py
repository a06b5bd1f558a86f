"""Stores the body of one request as parts of an upload, in constant memory.

If the body ends early (a reset, too slow, a newer request), the bytes that arrived are stored and acknowledged. With a
checksum, no byte is acknowledged before it is verified. A part is closed after PART_S even if the client is slow, which
bounds what a killed process loses.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from litestar.types import Receive

from ingest_service.errors import ClientGoneError, LimitError, RefusedError
from ingest_service.tus.headers import Checksum
from ingest_service.tus.upload_leases import Hold
from ingest_service.tus.upload_rows import Part, UploadRows
from ingest_service.uploads.body import read_body
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.media.sniff_container import ACCEPTED, HEAD_BYTES, needs_more, sniff_container
from shared.telemetry.logs import Log

log = Log(__name__)

PART_BYTES = 64 << 20
PART_S = 10.0

INTERRUPTIONS = frozenset({"upload_stalled", "upload_taken_over", "client_gone"})


class PartReceiver:
    """Receives one body and updates the upload of the hold."""

    def __init__(self, blobs: BlobStore, rows: UploadRows, hold: Hold, checksum: Checksum | None) -> None:
        self._blobs = blobs
        self._rows = rows
        self._hold = hold
        self._checksum = checksum
        self._hasher = checksum.hasher() if checksum else None
        self._written: list[Part] = []  # in the store, not yet in the database
        self._part_bytes = 0
        self._received = 0
        self._limit_bytes = 0
        self._head = b""  # of the upload, until its container is known
        self._is_sniffed = hold.upload.offset_bytes >= HEAD_BYTES
        self._interruption: RefusedError | ClientGoneError | None = None

    async def receive(self, receive: Receive, limit_bytes: int) -> None:
        """Store at most `limit_bytes`.

        After an interruption, stores the bytes that arrived and raises it. After RefusedError `too_large`,
        `unsupported_media` or `checksum_mismatch`, OutageError or BlobStoreError no unacknowledged part remains.
        """
        self._limit_bytes = limit_bytes
        if not self._is_sniffed:
            self._head = await self._stored_head()
        try:
            await self._store_parts(self._pieces(receive))
            if self._checksum:
                await self._count_verified(self._checksum)
        except BaseException:  # a cancelled request must not leave its part
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
        """False at the limit: the part stays open, so that one byte too many is refused before it is acknowledged."""
        return self._received < self._limit_bytes

    async def _pieces(self, receive: Receive) -> AsyncIterator[bytes]:
        try:
            async for piece in read_body(partial(self._hold.receive_while_held, receive)):
                self._received += len(piece)
                if self._received > self._limit_bytes:
                    raise too_long(self._limit_bytes)
                self._inspect(piece)
                yield piece
        except (RefusedError, ClientGoneError) as error:
            if error.code not in INTERRUPTIONS:
                raise
            self._interruption = error

    def _inspect(self, piece: bytes) -> None:
        if self._hasher:
            self._hasher.update(piece)
        if not self._is_sniffed:
            self._head += piece[: HEAD_BYTES - len(self._head)]
            if not self._checksum:  # with a checksum, sniff verified bytes only
                self._sniff()

    def _sniff(self) -> None:
        if self._is_sniffed or needs_more(self._head):
            return
        if sniff_container(self._head) is None:
            raise RefusedError("unsupported_media", f"Invalid format. Accepted are {ACCEPTED}.")
        self._is_sniffed = True

    async def _stored_head(self) -> bytes:
        upload = self._hold.upload
        parts = await self._rows.parts(upload) if upload.offset_bytes else []
        keys = [blob_keys.upload_part(upload.id, part.offset_bytes, part.lease_token) for part in parts]
        return b"".join([await self._blobs.get(key) for key in keys])

    async def _count_verified(self, checksum: Checksum) -> None:
        if self._interruption:  # an incomplete body cannot be verified
            raise self._interruption
        checksum.verify(self._hasher)
        self._sniff()
        if self._written:
            await self._count()

    async def _count(self) -> None:
        parts, self._written = self._written, []  # if the commit is unknown, the parts must stay
        try:
            self._hold.upload = await self._rows.add_parts(self._hold.upload, parts)
        except LimitError:  # nothing was committed
            self._written = parts
            raise
        failpoint("uploads.after_count")

    async def _discard(self) -> None:
        upload = self._hold.upload
        keys = [blob_keys.upload_part(upload.id, part.offset_bytes, part.lease_token) for part in self._written]
        try:
            for key in keys:
                await self._blobs.delete_keys([key])
        except BlobStoreError as error:  # the first error is reported; maintenance deletes the part
            log.warning("parts_not_deleted", upload_id=upload.id, error=str(error))


def too_long(left_bytes: int) -> RefusedError:
    """The error for a body that is longer than the rest of its upload."""
    return RefusedError("too_large", f"The body is longer than the rest of the upload: {left_bytes} bytes.")
