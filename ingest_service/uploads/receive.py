"""Receives an upload, form or raw body: audio into the blob store, options into a Struct.

Writes no row; `submit` does. When an upload is refused after its audio was stored, `discard` deletes the audio.
"""

import hashlib
from collections.abc import AsyncIterator
from typing import Protocol
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar.types import Receive

from ingest_service.errors import RefusedError
from ingest_service.uploads.body import limited, read_body, read_small_body, too_large
from ingest_service.uploads.form import MAX_PARTS, OVERHEAD_BYTES, FormPart, read_form, split_form
from ingest_service.uploads.parse_options import (
    JSON_FIELD,
    MAX_SHOWN_CHARS,
    OPTION_TYPES,
    OptionCollector,
    RequireServed,
    anything,
    unknown_option,
)
from ingest_service.uploads.raw_pcm import as_wav, with_wav_header
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.blobs.measured_stream import MeasuredStream, read_head
from shared.failpoints import failpoint
from shared.media.sniff_container import ACCEPTED, HEAD_BYTES, needs_more, sniff_container
from shared.schemas.options import SubmitOptions
from shared.secret import repr_hiding

AUDIO_FIELD = "audio_file"
OTHER_AUDIO_FIELDS = frozenset({"file", "audio"})  # what clients of other services send; only as a file
FORM_TYPE = "multipart/form-data"
AUDIO_HINT = f"The audio goes into `{AUDIO_FIELD}`, as a file."
MAX_FILENAME_CHARS = 255
SMALL_BYTES = 64 << 10  # the largest body held in memory; ten thousand slow clients may send one each


class OtherForm(Protocol):
    """A form with fields of another API than ours."""

    audio_field: str
    max_parts: int
    is_raw_pcm: bool  # the audio has no header: see raw_pcm.py

    def wants(self, name: str) -> bool:
        """Return whether the field's text must be added. Otherwise it is skipped, whatever its size."""

    def add(self, name: str, text: str) -> None:
        """Add a field. Raise RefusedError."""

    def options(self) -> SubmitOptions:
        """Return the options so far; more may be added later. Raise RefusedError."""


class UploadHead(msgspec.Struct, frozen=True, kw_only=True):
    """What the head of a request says about its body."""

    content_type: str
    boundary: str | None
    content_length: int | None
    query: str
    only_form: bool = False
    form: OtherForm | None = None  # None: our own form

    def __repr__(self) -> str:
        return repr_hiding(self, "query")  # it may contain `webhook_secret`


class StoredAudio(msgspec.Struct, frozen=True, kw_only=True):
    """Stored audio: container, size, hash."""

    container: str
    bytes: int
    sha256: str


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A complete upload: its audio is stored, its options are valid."""

    job_id: UUID
    audio: StoredAudio
    filename: str | None
    options: SubmitOptions


class UploadReceiver:
    """Receives the upload of one job."""

    def __init__(
        self, blobs: BlobStore, job_id: UUID, max_upload_bytes: int, require_served: RequireServed = anything
    ) -> None:
        self._blobs = blobs
        self._job_id = job_id
        self._max_bytes = max_upload_bytes
        self._options: OptionCollector | OtherForm = OptionCollector()
        self._form: OtherForm | None = None
        self._require_served = require_served
        self._audio: StoredAudio | None = None
        self._filename: str | None = None
        self._other_file = ""  # the field of a file that is not the audio

    async def receive(self, head: UploadHead, receive: Receive) -> Upload:
        """Return the upload. On RefusedError, ClientGoneError or BlobStoreError call `discard`."""
        self._check(head)
        if head.form is None:
            add_query_options(head, self._options)
        else:
            self._options = self._form = head.form
        if head.content_length is not None and head.content_length <= SMALL_BYTES:
            await self._receive_small(await read_small_body(receive, SMALL_BYTES, self._max_bytes), head.boundary)
        elif head.boundary is None:
            await self._store(read_body(receive))
        else:
            body = limited(read_body(receive), self._max_bytes + OVERHEAD_BYTES, self._max_bytes)
            await self._receive_form(body, head.boundary)
        return self._upload()

    async def discard(self) -> None:
        """Delete the audio, if it was stored."""
        if self._audio:
            await self._blobs.delete_keys([blob_keys.source(self._job_id)])

    def _check(self, head: UploadHead) -> None:
        if head.content_type == FORM_TYPE and not head.boundary:
            raise RefusedError("invalid_form", "The Content-Type has no boundary.")
        raw = head.content_type.startswith(("audio/", "video/")) or head.content_type == "application/octet-stream"
        if head.content_type != FORM_TYPE and (head.only_form or not raw):
            raise RefusedError("unsupported_content_type", _accepted_types(head))
        overhead = 0 if head.boundary is None else OVERHEAD_BYTES
        if (head.content_length or 0) > self._max_bytes + overhead:
            raise too_large(self._max_bytes)

    async def _receive_small(self, body: bytes, boundary: str | None) -> None:
        """Receive a body that is in memory, without streams.

        If something is wrong, the streaming code runs again: the error depends on how much of the body is read.
        """
        if boundary is None:
            await self._store_small(body)
            return
        try:
            parts = split_form(body, boundary, self._max_parts)
        except RefusedError:
            await self._receive_form(_one_piece(body), boundary)
            return
        for part in parts:
            if self._is_audio(part.name, part.filename):
                self._begin_audio(part.filename)
                await self._store_small(as_wav(part.content) if self._is_raw_pcm else part.content)
            elif self._is_wanted(part.name):
                self._options.add(part.name, part.text())
        self._require_audio()

    async def _store_small(self, audio: bytes) -> None:
        if len(audio) > self._max_bytes:
            await self._store(_one_piece(audio))
            return
        self._checked_options()
        self._audio = await store_small_audio(self._blobs, blob_keys.source(self._job_id), audio)
        failpoint("upload.after_blob")

    async def _receive_form(self, body: AsyncIterator[bytes], boundary: str) -> None:
        async for part in read_form(body, boundary, self._max_parts):
            if self._is_audio(part.name, part.filename):
                await self._receive_audio(part)
            elif self._is_wanted(part.name):
                self._options.add(part.name, await part.text())
            else:
                await part.skip()
        self._require_audio()

    def _is_audio(self, name: str, filename: str | None) -> bool:
        """Return whether a part is the audio, otherwise it is an option. Raise RefusedError before its content."""
        if self._form:
            if filename is not None and name != self._form.audio_field:
                self._other_file = self._other_file or name[:MAX_SHOWN_CHARS]
            return name == self._form.audio_field
        if name == AUDIO_FIELD or (name in OTHER_AUDIO_FIELDS and filename is not None):
            return True
        if name == JSON_FIELD or name in OPTION_TYPES:
            return False
        if filename is None and name not in OTHER_AUDIO_FIELDS:
            raise unknown_option(name, OPTION_TYPES)
        detail = f"{AUDIO_HINT} The form has `{name[:MAX_SHOWN_CHARS]}`."
        raise RefusedError("invalid_form" if self._audio else "missing_audio_file", detail)

    def _is_wanted(self, name: str) -> bool:
        return self._form is None or self._form.wants(name)

    @property
    def _max_parts(self) -> int:
        return self._form.max_parts if self._form else MAX_PARTS

    @property
    def _is_raw_pcm(self) -> bool:
        return self._form is not None and self._form.is_raw_pcm

    async def _receive_audio(self, part: FormPart) -> None:
        self._begin_audio(part.filename)
        await self._store(with_wav_header(part.stream()) if self._is_raw_pcm else part.stream())

    def _begin_audio(self, filename: str | None) -> None:
        if self._audio:
            field = self._form.audio_field if self._form else AUDIO_FIELD
            raise RefusedError("invalid_form", f"The form has two files of audio. Send one `{field}`.")
        self._checked_options()  # report invalid options before gigabytes arrive
        self._filename = clean_filename(filename)

    def _require_audio(self) -> None:
        if not self._audio:
            hint = f"The audio goes into `{self._form.audio_field}`, as a file." if self._form else AUDIO_HINT
            found = f"`{self._other_file}`" if self._other_file else "no such part"
            raise RefusedError("missing_audio_file", f"{hint} The form has {found}.")

    async def _store(self, audio: AsyncIterator[bytes]) -> None:
        self._checked_options()
        pieces = limited(audio, self._max_bytes, self._max_bytes)
        self._audio = await store_audio(self._blobs, blob_keys.source(self._job_id), pieces)
        failpoint("upload.after_blob")

    def _checked_options(self) -> SubmitOptions:
        options = self._options.options()
        self._require_served(options)
        return options

    def _upload(self) -> Upload:
        if not self._audio:
            raise RefusedError("empty_upload", "The upload has no bytes.")
        options = self._checked_options()
        return Upload(job_id=self._job_id, audio=self._audio, filename=self._filename, options=options)


async def _one_piece(body: bytes) -> AsyncIterator[bytes]:
    yield body


def add_query_options(head: UploadHead, options: OptionCollector | OtherForm) -> None:
    """Add the options in the query string."""
    for name, text in parse_qsl(head.query, keep_blank_values=True) if head.query else ():
        options.add(name, text)


def clean_filename(name: str | None) -> str | None:
    """The client's file name, for display: printable characters, bounded length. Never used as a path."""
    if name is None:
        return None
    if name.isprintable():
        return name[:MAX_FILENAME_CHARS] or None
    return "".join(char for char in name if char.isprintable())[:MAX_FILENAME_CHARS] or None


def _accepted_types(head: UploadHead) -> str:
    raw = "" if head.only_form else ", audio/*, video/*, application/octet-stream, or application/json with a URL"
    return f"Send the audio as {FORM_TYPE}{raw}. Received: {head.content_type[:100] or 'no Content-Type'}."


async def store_audio(blobs: BlobStore, key: str, audio: AsyncIterator[bytes]) -> StoredAudio:
    """Store streamed audio under the key, in constant memory. On an error nothing is left in the store.

    Raises RefusedError (`empty_upload`, `unsupported_media`), BlobStoreError, and what the stream raises.
    """
    head = await read_head(audio, needs_more)
    container = container_of(head)
    measured = MeasuredStream(head, audio)
    await blobs.put(key, measured.pieces())
    return StoredAudio(container=container, bytes=measured.bytes, sha256=measured.sha256)


async def store_small_audio(blobs: BlobStore, key: str, audio: bytes) -> StoredAudio:
    """Store audio that is in memory. Raises RefusedError or BlobStoreError."""
    container = container_of(audio)
    await blobs.put_small(key, audio)
    return StoredAudio(container=container, bytes=len(audio), sha256=hashlib.sha256(audio).hexdigest())


def container_of(head: bytes) -> str:
    """The container format of the first bytes. RefusedError `empty_upload` or `unsupported_media`."""
    if not head:
        raise RefusedError("empty_upload", "The upload has no bytes.")
    container = sniff_container(head[:HEAD_BYTES])
    if container is None:
        raise RefusedError("unsupported_media", f"Invalid format. Accepted are {ACCEPTED}.")
    return container
