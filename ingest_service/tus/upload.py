"""An upload and its parts, as the record has them."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.errors import RefusedError
from shared.schemas.options import SubmitOptions

COLUMNS = """
    id, tenant, length_bytes, offset_bytes, expires_at, metadata, options, filename, lease_token, job_id,
    completed_at IS NOT NULL AS is_completed,
    ended_at IS NOT NULL OR (completed_at IS NULL AND expires_at < now()) AS is_gone,
    coalesce(lease_expires_at > now(), false) AS is_held
"""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A row with COLUMNS."""

    id: UUID
    tenant: str
    length_bytes: int | None  # null: not said yet
    offset_bytes: int
    expires_at: dt.datetime
    metadata: str | None
    options: str | None
    filename: str | None
    lease_token: int
    job_id: UUID | None
    is_completed: bool  # its job is recorded
    is_gone: bool
    is_held: bool

    @property
    def is_whole(self) -> bool:
        return self.offset_bytes == self.length_bytes

    def submit_options(self) -> SubmitOptions:
        return msgspec.json.decode(self.options or "{}", type=SubmitOptions)


class Part(msgspec.Struct, frozen=True):
    """A span of an upload that lies in the store, written under a lease."""

    offset_bytes: int
    bytes: int
    lease_token: int


def upload_of(row: Any) -> Upload:
    """A row with COLUMNS."""
    return Upload(**dict(row))


def upload_gone() -> RefusedError:
    """The refusal for an upload of which only the tombstone is left."""
    return RefusedError("upload_gone", "The upload has expired or was terminated; start a new one.")


def taken_over() -> RefusedError:
    """The refusal for a request that was overtaken by a newer one."""
    return RefusedError("upload_taken_over", "A newer request works on this upload; ask for its offset.")
