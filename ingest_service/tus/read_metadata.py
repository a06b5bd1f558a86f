"""`Upload-Metadata`: the file's name and the job's options, as base64 beside their names. Pure."""

import base64
import binascii
from collections.abc import Iterator

import msgspec

from ingest_service.errors import RefusedError
from ingest_service.uploads.options import OptionTexts, refused
from ingest_service.uploads.receive import clean_filename
from shared.schemas.options import SubmitOptions

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
