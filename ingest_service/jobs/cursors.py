"""The opaque cursors of the lists: where the last item shown stands, so that the next page starts behind it."""

import base64
import binascii
import datetime as dt
import struct
from typing import NamedTuple
from uuid import UUID

from ingest_service.errors import RefusedError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
DEAD_LETTER_POSITION = struct.Struct(">q16s")
JOB_CURSOR = "^[A-Za-z0-9_-]{21}[AQgw]$"  # 16 bytes; the last letter stands for two bits
DEAD_LETTER_CURSOR = "^A[A-Za-z0-3][A-Za-z0-9_-]{30}$"  # 24 bytes, the first of them a time from 1970 to 9999


class DeadLetterPosition(NamedTuple):
    """Where a dead letter stands in the list of them."""

    died_at: dt.datetime
    task_id: UUID


def encode_cursor(last_id: UUID) -> str:
    """The cursor behind a job."""
    return _encode(last_id.bytes)


def decode_cursor(cursor: str) -> UUID:
    """The id in a cursor; RefusedError `invalid_parameter` for anything that we did not make."""
    try:
        return UUID(bytes=_decode(cursor))
    except ValueError:
        raise _not_ours() from None


def encode_dead_letter_cursor(place: DeadLetterPosition) -> str:
    """The cursor behind a dead letter."""
    return _encode(DEAD_LETTER_POSITION.pack((place.died_at - EPOCH) // MICROSECOND, place.task_id.bytes))


def decode_dead_letter_cursor(cursor: str) -> DeadLetterPosition:
    """The place in a cursor; RefusedError `invalid_parameter` for anything that we did not make."""
    try:
        microseconds, task_id = DEAD_LETTER_POSITION.unpack(_decode(cursor))
        return DeadLetterPosition(EPOCH + microseconds * MICROSECOND, UUID(bytes=task_id))
    except (struct.error, OverflowError):
        raise _not_ours() from None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(cursor: str) -> bytes:
    try:
        data = base64.b64decode(cursor + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _not_ours() from None
    if _encode(data) != cursor:
        raise _not_ours()
    return data


def _not_ours() -> RefusedError:
    return RefusedError("invalid_parameter", "`cursor` is none that this service gave.")
