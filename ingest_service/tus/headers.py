"""Reads and checks the headers of tus requests, and writes those of the answers. No I/O."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any

import msgspec

from ingest_service.client_json import decode_json
from ingest_service.errors import RefusedError
from ingest_service.tus.upload_rows import Upload, UploadMetadata
from ingest_service.uploads.json_body import JSON_TYPE
from ingest_service.uploads.parse_options import JSON_FIELD, OptionCollector, invalid_option
from ingest_service.uploads.receive import clean_filename
from shared.schemas.api import Links
from shared.secret import repr_hiding

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-defer-length", "creation-with-upload", "expiration", "termination", "checksum")
PATH = "/v1/uploads"
ALGORITHMS = ("sha1", "sha256")  # tus requires sha1; it detects accidental changes only
OFFSET_TYPE = "application/offset+octet-stream"
OFFSET_TYPES = (OFFSET_TYPE, "application/octet-stream")  # the second for generated clients, which know no other
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)  # fits into 64 bits
NAMES = ("filename", "name")  # of the file; Uppy sends the second
IGNORED = frozenset({"filetype", "type", "relativePath"})  # sent by browser clients; the bytes decide the type
MAX_METADATA_BYTES = 24 << 10  # base64 of the longest options and metadata
MAX_PAIRS = 64
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
NEVER_SHOWN = frozenset({"webhook_secret", "webhooks"})  # these contain secrets


class Checksum(msgspec.Struct, frozen=True):
    """An `Upload-Checksum`: the algorithm and the expected digest of one request's bytes."""

    algorithm: str
    digest: bytes

    def hasher(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def verify(self, hasher: Any) -> None:
        """Raise RefusedError `checksum_mismatch` if the digest differs."""
        if hasher.digest() != self.digest:
            raise RefusedError("checksum_mismatch", f"Checksum mismatch ({self.algorithm}). Send the bytes again.")


def parse_checksum(header: str | None) -> Checksum | None:
    """Parse `Upload-Checksum`. RefusedError `invalid_upload`."""
    if header is None:
        return None
    algorithm, _, encoded = header.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise RefusedError("invalid_upload", f"`Upload-Checksum` must use {' or '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise RefusedError(
            "invalid_upload", f"`Upload-Checksum` must be `{algorithm}`, a blank and the digest as base64."
        )
    return Checksum(algorithm, digest)


def capability_headers(max_bytes: int) -> dict[str, str]:
    """The answer to OPTIONS: the server's capabilities."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def progress_headers(upload: Upload) -> dict[str, str]:
    """Headers of every answer about an upload. `Content-Location` and `Headrace-Job-Id` name the job, if it is one."""
    headers = {"Upload-Offset": str(upload.offset_bytes), "Cache-Control": "no-store"}
    if not upload.is_completed:
        headers["Upload-Expires"] = format_datetime(upload.expires_at, usegmt=True)
    elif upload.job_id:
        headers |= {"Headrace-Job-Id": str(upload.job_id), "Content-Location": Links.of(upload.job_id).self}
    return headers


def creation_headers(upload: Upload) -> dict[str, str]:
    """Headers of the answer to a creation."""
    return {"Location": f"{PATH}/{upload.id}", **progress_headers(upload)}


def head_headers(upload: Upload) -> dict[str, str]:
    """Headers of the answer to HEAD."""
    headers = progress_headers(upload)
    if upload.length_bytes is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length_bytes)
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return headers


def read_metadata(header: str | None, options: Mapping[str, Any] = NO_OPTIONS) -> UploadMetadata:
    """Parse `Upload-Metadata`: the file name and the job's options. RefusedError `invalid_option`.

    More `options` are those of the body. They are not shown: an answer's head must not be long either.
    """
    collector = OptionCollector()
    collector.add_values(options)
    values: dict[str, bytes] = {}
    for name, value in _pairs(header or ""):
        if name in values:
            raise invalid_option(name, "is given twice")
        values[name] = value
        if name not in NAMES and name not in IGNORED:
            collector.add(name, _text(name, value))
    named = next((values[name] for name in NAMES if name in values), None)
    filename = None if named is None else clean_filename(named.decode(errors="replace"))
    return UploadMetadata(options=collector.options(), filename=filename, shown=_shown(values))


def _pairs(header: str) -> Iterator[tuple[str, bytes]]:
    if len(header) > MAX_METADATA_BYTES or header.count(",") >= MAX_PAIRS:
        detail = f"`Upload-Metadata` may have {MAX_METADATA_BYTES} bytes and {MAX_PAIRS} values."
        raise RefusedError("invalid_option", detail)
    for pair in header.split(","):
        name, _, encoded = pair.strip().partition(" ")
        if not name:
            if header.strip():
                raise RefusedError(
                    "invalid_option", "`Upload-Metadata` must be pairs of a name and base64, separated by commas."
                )
            return
        try:
            yield name, base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid_option(name, "must be base64 in `Upload-Metadata`") from error


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise invalid_option(name, "must be UTF-8 text") from error


def _shown(pairs: dict[str, bytes]) -> str | None:
    """Return the header to echo. The JSON of several options is echoed without the secrets."""
    shown = {name: value for name, value in pairs.items() if name not in NEVER_SHOWN}
    if JSON_FIELD in shown:
        options = decode_json(shown[JSON_FIELD], dict[str, Any], enclosing=1)
        if NEVER_SHOWN & options.keys():
            kept = {name: value for name, value in options.items() if name not in NEVER_SHOWN}
            shown[JSON_FIELD] = msgspec.json.encode(kept)
    return ",".join(f"{name} {base64.b64encode(value).decode()}".strip() for name, value in shown.items()) or None


class PatchHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a request that brings bytes."""

    offset_bytes: int
    length_bytes: int | None = None  # of the whole upload, if it was deferred
    content_length: int | None = None  # of this body; None: chunked
    checksum: Checksum | None = None


class CreationHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a request that creates an upload."""

    length_bytes: int | None  # None: deferred
    metadata: str | None
    first: PatchHead | None  # if it brings the first bytes
    has_options: bool = False  # in a JSON body
    content_length: int | None = None

    def __repr__(self) -> str:
        return repr_hiding(self, "metadata")  # it may contain `webhook_secret`


def read_patch(headers: Mapping[str, str]) -> PatchHead:
    """Read the head of a PATCH. RefusedError `invalid_upload` or `unsupported_content_type`."""
    _require_offset_type(headers)
    offset_bytes = _number(headers, "Upload-Offset")
    if offset_bytes is None:
        raise RefusedError(
            "invalid_upload", "`Upload-Offset` is missing. It must be a number of bytes: the offset that HEAD returns."
        )
    return PatchHead(
        offset_bytes=offset_bytes,
        length_bytes=_number(headers, "Upload-Length"),
        content_length=_number(headers, "Content-Length"),
        checksum=parse_checksum(headers.get("Upload-Checksum")),
    )


def read_creation(headers: Mapping[str, str]) -> CreationHead:
    """Read the head of a creation. RefusedError `invalid_upload`, `unsupported_content_type` or `empty_upload`."""
    length_bytes, deferred = _number(headers, "Upload-Length"), headers.get("Upload-Defer-Length")
    if (deferred is None) is (length_bytes is None) or deferred not in {None, "1"}:
        raise RefusedError("invalid_upload", "Send either `Upload-Length` or `Upload-Defer-Length: 1`.")
    if length_bytes == 0:
        raise RefusedError("empty_upload", "The upload has no bytes.")
    if "Upload-Concat" in headers:
        raise RefusedError("invalid_upload", "`Upload-Concat` must be absent: concatenation is not supported.")
    has_options = _media_type(headers) == JSON_TYPE
    return CreationHead(
        length_bytes=length_bytes,
        metadata=headers.get("Upload-Metadata"),
        first=None if has_options else _first_bytes(headers),
        has_options=has_options,
        content_length=_number(headers, "Content-Length"),
    )


def _first_bytes(headers: Mapping[str, str]) -> PatchHead | None:
    content_length = _number(headers, "Content-Length")
    if not content_length and "Transfer-Encoding" not in headers:
        return None
    _require_offset_type(headers)
    checksum = parse_checksum(headers.get("Upload-Checksum"))
    return PatchHead(offset_bytes=0, content_length=content_length, checksum=checksum)


def _require_offset_type(headers: Mapping[str, str]) -> None:
    if _media_type(headers) not in OFFSET_TYPES:
        raise RefusedError("unsupported_content_type", f"Send the bytes as {OFFSET_TYPE}.")


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not NUMBER.fullmatch(text):
        raise RefusedError("invalid_upload", f"`{name}` must be a number of bytes.")
    return int(text)
