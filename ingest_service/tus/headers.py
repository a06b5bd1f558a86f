"""The headers of tus requests, read and checked; none of them is trusted to be there or to be a number. Pure."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ingest_service.errors import RefusedError
from ingest_service.uploads.options import OptionTexts, refused
from ingest_service.uploads.receive import clean_filename
from shared.schemas.options import SubmitOptions

# `Upload-Checksum`: what a client says the bytes of one request hash to. Pure.

ALGORITHMS = ("sha1", "sha256")  # the first is the one that every tus server knows; it guards against accidents only


class Checksum(msgspec.Struct, frozen=True):
    """The algorithm's name and the digest to expect."""

    algorithm: str
    digest: bytes

    def hasher(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def verify(self, hasher: Any) -> None:
        """Raise RefusedError `checksum_mismatch` unless what was hashed is what was announced."""
        if hasher.digest() != self.digest:
            raise RefusedError("checksum_mismatch", f"The {self.algorithm} of the bytes is another; send them again.")


def parse_checksum(header: str | None) -> Checksum | None:
    """The header's checksum, if there is one; RefusedError `invalid_upload` when it cannot be one."""
    if header is None:
        return None
    algorithm, _, encoded = header.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise RefusedError("invalid_upload", f"`Upload-Checksum` may use {' or '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise RefusedError("invalid_upload", f"`Upload-Checksum` is not a {algorithm} in base64.")
    return Checksum(algorithm, digest)


# `Upload-Metadata`: the file's name and the job's options, as base64 beside their names. Pure.

NAMES = ("filename", "name")  # of the file; the second is what Uppy sends
IGNORED = frozenset({"filetype", "type", "relativePath"})  # what browsers' clients add; the bytes tell the type
NEVER_SHOWN = "webhook_secret"


class UploadMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says of an upload when it creates it."""

    options: SubmitOptions
    filename: str | None
    shown: str | None  # the header to echo, without what is secret


def read_metadata(header: str | None) -> UploadMetadata:
    """The header's meaning; RefusedError `invalid_option` names what is unknown or invalid."""
    texts = OptionTexts()
    seen: dict[str, bytes] = {}
    for name, value in _pairs(header or ""):
        if name in seen:
            raise refused(name, "is given twice")
        seen[name] = value
        if name not in NAMES and name not in IGNORED:
            texts.add(name, _text(name, value))
    named = next((seen[name] for name in NAMES if name in seen), None)
    filename = None if named is None else clean_filename(named.decode(errors="replace"))
    return UploadMetadata(options=texts.options(), filename=filename, shown=_shown(seen))


def _pairs(header: str) -> Iterator[tuple[str, bytes]]:
    for pair in header.split(","):
        name, _, encoded = pair.strip().partition(" ")
        if not name:
            if header.strip():
                raise RefusedError("invalid_option", "`Upload-Metadata` has a pair without a key.")
            return
        try:
            yield name, base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise refused(name, "is not base64 in `Upload-Metadata`") from error


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise refused(name, "is not UTF-8 text") from error


def _shown(pairs: dict[str, bytes]) -> str | None:
    shown = (f"{name} {base64.b64encode(value).decode()}".strip() for name, value in pairs.items())
    return ",".join(pair for pair in shown if not pair.startswith(NEVER_SHOWN)) or None


OFFSET_TYPE = "application/offset+octet-stream"
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)  # fits into 64 bits


class PatchHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of the bytes that it brings."""

    offset_bytes: int
    length_bytes: int | None = None  # of the whole upload, when it was deferred
    content_length: int | None = None  # of this body; null: chunked
    checksum: Checksum | None = None


class CreationHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of the upload that it creates."""

    length_bytes: int | None  # null: deferred
    metadata: str | None
    first: PatchHead | None  # when it brings bytes at once


def read_patch(headers: Mapping[str, str]) -> PatchHead:
    """The head of a PATCH; RefusedError `invalid_upload` or `unsupported_content_type`."""
    _require_offset_type(headers)
    offset_bytes = _number(headers, "Upload-Offset")
    if offset_bytes is None:
        raise RefusedError("invalid_upload", "`Upload-Offset` is missing.")
    return PatchHead(
        offset_bytes=offset_bytes,
        length_bytes=_number(headers, "Upload-Length"),
        content_length=_number(headers, "Content-Length"),
        checksum=parse_checksum(headers.get("Upload-Checksum")),
    )


def read_creation(headers: Mapping[str, str]) -> CreationHead:
    """The head of a creation; RefusedError as above, or `empty_upload`."""
    length_bytes, deferred = _number(headers, "Upload-Length"), headers.get("Upload-Defer-Length")
    if (deferred is None) is (length_bytes is None) or deferred not in {None, "1"}:
        raise RefusedError("invalid_upload", "Send either `Upload-Length` or `Upload-Defer-Length: 1`.")
    if length_bytes == 0:
        raise RefusedError("empty_upload", "The upload has no bytes.")
    if "Upload-Concat" in headers:
        raise RefusedError("invalid_upload", "Uploads cannot be concatenated here.")
    metadata = headers.get("Upload-Metadata")
    return CreationHead(length_bytes=length_bytes, metadata=metadata, first=_first_bytes(headers))


def _first_bytes(headers: Mapping[str, str]) -> PatchHead | None:
    content_length = _number(headers, "Content-Length")
    if not content_length and "Transfer-Encoding" not in headers:
        return None
    _require_offset_type(headers)
    checksum = parse_checksum(headers.get("Upload-Checksum"))
    return PatchHead(offset_bytes=0, content_length=content_length, checksum=checksum)


def _require_offset_type(headers: Mapping[str, str]) -> None:
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != OFFSET_TYPE:
        raise RefusedError("unsupported_content_type", f"Send the bytes as {OFFSET_TYPE}.")


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not NUMBER.fullmatch(text):
        raise RefusedError("invalid_upload", f"`{name}` is not a number of bytes.")
    return int(text)
