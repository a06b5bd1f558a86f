"""What is known of a blob, and the request that stores one."""

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple

from shared.secret import Secret


class BlobFacts(NamedTuple):
    """A blob in a listing."""

    key: str
    modified_at: dt.datetime
    size: int


class BlobLook(NamedTuple):
    """A blob's size, first bytes and type."""

    size: int
    head: bytes
    media_type: str | None  # as declared when it was stored


class BlobVersion(NamedTuple):
    """A blob's content: its size, a tag that differs when the content is replaced, and when it was stored."""

    key: str
    size: int
    tag: str
    modified_at: dt.datetime


class SignedPut(NamedTuple):
    """A presigned request that stores one blob. Its URL authorizes the request."""

    url: Secret
    headers: Mapping[str, str]
