"""Receives an upload, multipart or raw: the audio goes straight into the blob store, the options into a Struct.

Nothing is recorded here; that is `submit_job`. Whatever is refused after the audio was stored takes it away again.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar.types import Receive

from ingest_service.errors import OutageError, RefusedError
from ingest_service.uploads.body import limited, read_body, read_small_body, too_large
from ingest_service.uploads.form import OVERHEAD_BYTES, FormPart, read_form, split_form
from ingest_service.uploads.options import OptionTexts
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.media.sniff_container import ACCEPTED, HEAD_BYTES, sniff_container
from shared.schemas.options import SubmitOptions
from shared.telemetry.logs import Log

# Stores the audio of an upload while it arrives: tells the container before the first byte is kept, counts, hashes.
#
# Never holds more of it than the blob store's part at hand. A stream that ends badly leaves nothing behind.


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


# Keeps a reserve on the disk of the blob store: an upload that would eat into it is refused before it is read.
#
# The queue may grow without limit in time, not in disk: a full one would stop Postgres, and with it the work that
# makes room again. Only a guard: uploads side by side may overrun it together; the store tells when there is no room
# at all.

log = Log(__name__)

FRESH_S = 1.0  # how long an answer of the disk is good for


class FreeSpace:
    """What the disk last said. A store that is elsewhere has always room."""

    def __init__(self, blobs: BlobStore, min_free_bytes: int) -> None:
        self._blobs = blobs
        self._min_free_bytes = min_free_bytes
        self._free_bytes: int | None = None
        self._asked_at_s = float("-inf")

    async def require(self, upload_bytes: int) -> None:
        """Raise OutageError `storage_full` when the reserve would not be left beside so many bytes."""
        if not self._min_free_bytes:
            return
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_at_s > FRESH_S:
            self._asked_at_s = now_s  # first: those who come meanwhile go by the last answer
            self._free_bytes = await asyncio.to_thread(self._ask)  # a network's file system may take its time
        if not has_room(self._free_bytes, upload_bytes, self._min_free_bytes):
            raise OutageError("storage_full", "There is no room for the audio.")

    def _ask(self) -> int | None:
        try:
            return self._blobs.free_bytes()
        except BlobStoreError as error:  # storing will say what is wrong with it
            log.warning("free_space_unknown", error=str(error))
            return None


def has_room(free_bytes: int | None, upload_bytes: int, min_free_bytes: int) -> bool:
    """Whether so much stays free; what is not known does not keep anybody out."""
    return free_bytes is None or free_bytes - upload_bytes >= min_free_bytes


AUDIO_FIELD = "audio_file"
FORM_TYPE = "multipart/form-data"
MAX_FILENAME_CHARS = 255
SMALL_BYTES = 64 << 10  # of a body that is held as a whole: ten thousand slow clients may send such ones at once


class UploadHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of its body before sending it."""

    content_type: str
    boundary: str | None
    content_length: int | None
    query: str
    only_form: bool = False


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A whole upload: its audio is in the store, its options are valid."""

    job_id: UUID
    audio: StoredAudio
    filename: str | None
    options: SubmitOptions


class UploadReceiver:
    """Receives the one upload of a job."""

    def __init__(self, blobs: BlobStore, job_id: UUID, max_upload_bytes: int) -> None:
        self._blobs = blobs
        self._job_id = job_id
        self._max_bytes = max_upload_bytes
        self._texts = OptionTexts()
        self._audio: StoredAudio | None = None
        self._filename: str | None = None

    async def receive(self, head: UploadHead, receive: Receive) -> Upload:
        """The upload. Raises RefusedError, ClientGoneError or BlobStoreError; then the caller calls `discard`."""
        self._check(head)
        query_options(head, self._texts)
        if head.content_length is not None and head.content_length <= SMALL_BYTES:
            await self._receive_small(await read_small_body(receive, SMALL_BYTES, self._max_bytes), head.boundary)
        elif head.boundary is None:
            await self._store(read_body(receive))
        else:
            body = limited(read_body(receive), self._max_bytes + OVERHEAD_BYTES, self._max_bytes)
            await self._receive_form(body, head.boundary)
        return self._upload()

    async def discard(self) -> None:
        """Take the audio away again, if it was stored."""
        if self._audio:
            await self._blobs.delete(blob_keys.job(self._job_id))

    def _check(self, head: UploadHead) -> None:
        if head.content_type == FORM_TYPE and not head.boundary:
            raise RefusedError("invalid_form", "The Content-Type names no boundary.")
        raw = head.content_type.startswith(("audio/", "video/")) or head.content_type == "application/octet-stream"
        if head.content_type != FORM_TYPE and (head.only_form or not raw):
            raise RefusedError("unsupported_content_type", _accepted_types(head))
        overhead = 0 if head.boundary is None else OVERHEAD_BYTES
        if (head.content_length or 0) > self._max_bytes + overhead:
            raise too_large(self._max_bytes)

    async def _receive_small(self, body: bytes, boundary: str | None) -> None:
        """The same for a body that is at hand: nothing has to pass through a stream, unless it is to be refused.

        What is wrong with it first depends on how much of it is read; the stream decides.
        """
        if boundary is None:
            await self._store_small(body)
            return
        try:
            parts = split_form(body, boundary)
        except RefusedError:
            await self._receive_form(_at_hand(body), boundary)
            return
        for part in parts:
            if part.name == AUDIO_FIELD:
                self._begin_audio(part.filename)
                await self._store_small(part.content)
            else:
                self._texts.add(part.name, part.text())
        self._require_audio()

    async def _store_small(self, audio: bytes) -> None:
        if len(audio) > self._max_bytes:
            await self._store(_at_hand(audio))
            return
        self._texts.options()
        self._audio = await store_small_audio(self._blobs, blob_keys.source(self._job_id), audio)
        failpoint("upload.after_blob")

    async def _receive_form(self, body: AsyncIterator[bytes], boundary: str) -> None:
        async for part in read_form(body, boundary):
            if part.name == AUDIO_FIELD:
                await self._receive_audio(part)
            else:
                self._texts.add(part.name, await part.text())
        self._require_audio()

    async def _receive_audio(self, part: FormPart) -> None:
        self._begin_audio(part.filename)
        await self._store(part.stream())

    def _begin_audio(self, filename: str | None) -> None:
        if self._audio:
            raise RefusedError("invalid_form", f"The form has two parts named `{AUDIO_FIELD}`.")
        self._texts.options()  # what is wrong already need not wait for gigabytes
        self._filename = clean_filename(filename)

    def _require_audio(self) -> None:
        if not self._audio:
            raise RefusedError("missing_audio_file", f"The form has no part named `{AUDIO_FIELD}`.")

    async def _store(self, audio: AsyncIterator[bytes]) -> None:
        self._texts.options()
        pieces = limited(audio, self._max_bytes, self._max_bytes)
        self._audio = await store_audio(self._blobs, blob_keys.source(self._job_id), pieces)
        failpoint("upload.after_blob")

    def _upload(self) -> Upload:
        if not self._audio:
            raise RefusedError("empty_upload", "The upload has no bytes.")
        options = self._texts.options()
        return Upload(job_id=self._job_id, audio=self._audio, filename=self._filename, options=options)


async def _at_hand(body: bytes) -> AsyncIterator[bytes]:
    yield body


def query_options(head: UploadHead, texts: OptionTexts) -> None:
    """Add the options that stand in the query."""
    for name, text in parse_qsl(head.query, keep_blank_values=True):
        texts.add(name, text)


def clean_filename(name: str | None) -> str | None:
    """The client's name for the file, to be shown and never used as a path: printable, and of bounded length."""
    if name is None:
        return None
    return "".join(char for char in name if char.isprintable())[:MAX_FILENAME_CHARS] or None


def _accepted_types(head: UploadHead) -> str:
    raw = "" if head.only_form else ", audio/*, video/*, application/octet-stream or (its URL) application/json"
    return f"Send the audio as {FORM_TYPE}{raw}, not as {head.content_type[:100] or 'a body without Content-Type'}."
