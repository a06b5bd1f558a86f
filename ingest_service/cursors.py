"""The opaque cursor of a list: the id of the last job shown, so that the next page starts behind it."""

import base64
import binascii
from uuid import UUID

from ingest_service.errors import RefusedError


def encode_cursor(last_id: UUID) -> str:
    """The cursor behind a job."""
    return base64.urlsafe_b64encode(last_id.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> UUID:
    """The id in a cursor; RefusedError `invalid_parameter` for anything that we did not make."""
    try:
        last_id = UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise RefusedError("invalid_parameter", "`cursor` is none that this service gave.") from None
    if encode_cursor(last_id) != cursor:
        raise RefusedError("invalid_parameter", "`cursor` is none that this service gave.")
    return last_id
