"""The headers of tus requests, read and checked; none of them is trusted to be there or to be a number. Pure."""

import re
from collections.abc import Mapping

import msgspec

from ingest_service.errors import RefusedError
from ingest_service.tus.checksum import Checksum, parse_checksum

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
