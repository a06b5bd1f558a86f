"""Stores the audio of an upload while it arrives: tells the container before the first byte is kept, counts, hashes.

Never holds more of it than the blob store's part at hand. A stream that ends badly leaves nothing behind.
"""

import hashlib
from collections.abc import AsyncIterator

import msgspec

from ingest_service.errors import RefusedError
from shared.blobs.blob_store import BlobStore
from shared.media.sniff_container import ACCEPTED, HEAD_BYTES, sniff_container


class StoredAudio(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the audio once it is stored."""

    container: str
    bytes: int
    sha256: str


class _Measured:
    """Passes pieces through, counting and hashing them."""

    def __init__(self) -> None:
        self.bytes = 0
        self._sha256 = hashlib.sha256()

    async def stream(self, head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield self._measure(head)
        async for piece in rest:
            yield self._measure(piece)

    def _measure(self, piece: bytes) -> bytes:
        self.bytes += len(piece)
        self._sha256.update(piece)
        return piece

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


async def store_audio(blobs: BlobStore, key: str, audio: AsyncIterator[bytes]) -> StoredAudio:
    """Store the audio under the key.

    Raises RefusedError (`empty_upload`, `unsupported_media`), BlobStoreError, and whatever the stream raises.
    """
    head = await _head(audio)
    container = container_of(head)
    measured = _Measured()
    await blobs.put(key, measured.stream(head, audio))
    return StoredAudio(container=container, bytes=measured.bytes, sha256=measured.sha256)


async def store_small_audio(blobs: BlobStore, key: str, audio: bytes) -> StoredAudio:
    """The same for audio that is at hand as a whole. Raises RefusedError or BlobStoreError."""
    container = container_of(audio)
    await blobs.put_small(key, audio)
    return StoredAudio(container=container, bytes=len(audio), sha256=hashlib.sha256(audio).hexdigest())


def container_of(head: bytes) -> str:
    """What the first bytes are of. RefusedError `empty_upload` or `unsupported_media`."""
    if not head:
        raise RefusedError("empty_upload", "The upload has no bytes.")
    container = sniff_container(head[:HEAD_BYTES])
    if container is None:
        raise RefusedError("unsupported_media", f"Invalid format. Accepted are {ACCEPTED}.")
    return container


async def _head(audio: AsyncIterator[bytes]) -> bytes:
    head = bytearray()
    async for piece in audio:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head)
