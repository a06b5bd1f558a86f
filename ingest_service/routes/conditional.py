"""Conditional requests (RFC 9110, section 13): validators of an answer, `If-Match`, `If-None-Match`, `If-Range`, dates.

The content of a blob does not change under its key, but the same path may show another blob later.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, NamedTuple

from litestar import Response

from ingest_service.middleware.problems import problem
from shared.blobs.blob_facts import BlobVersion

ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
TAG_CHARS = 32


class Validators(NamedTuple):
    """What identifies the content of an answer: a strong entity tag and, if known, the time of the last change."""

    etag: str
    modified_at: dt.datetime | None = None

    @classmethod
    def of(cls, blob: BlobVersion) -> "Validators":
        """Return those of a stored blob."""
        identity = f"{blob.key}\n{blob.size}\n{blob.tag}"  # hashed, since the store's tag may show inode numbers
        return cls(_entity_tag(identity.encode()), blob.modified_at.replace(microsecond=0))

    @classmethod
    def of_text(cls, text: bytes) -> "Validators":
        """Return those of a rendered text: another version of the service may render the same blob otherwise."""
        return cls(_entity_tag(text))

    def headers(self) -> dict[str, str]:
        """Return the headers of an answer."""
        dated = {"Last-Modified": format_datetime(self.modified_at, usegmt=True)} if self.modified_at else {}
        return {"ETag": self.etag, **dated}


def _entity_tag(identity: bytes) -> str:
    return f'"{hashlib.sha256(identity).hexdigest()[:TAG_CHARS]}"'


class HeadersOnly(Response[None]):
    """An answer without a body. The framework cannot render an empty body as audio."""

    def render(self, *_: object, **__: object) -> bytes:
        return b""


def early_answer(headers: Mapping[str, str], current: Validators) -> Response[Any] | None:
    """Return the answer 412 or 304 to a GET or HEAD whose preconditions decide it."""
    if not _may_proceed(headers, current):
        return problem("precondition_failed")
    if not _has_changed(headers, current):
        return HeadersOnly(None, status_code=304, headers=current.headers())
    return None


def range_applies(headers: Mapping[str, str], current: Validators) -> bool:
    """Return whether `Range` applies: the client's part belongs to the current content, by `If-Range`."""
    wanted = headers.get("if-range")
    if wanted is None:
        return True
    if ENTITY_TAG.fullmatch(wanted.strip()):
        return wanted.strip() == current.etag  # a strong comparison: weak tags never match
    at = _date(wanted)
    return at is not None and at == current.modified_at


def _may_proceed(headers: Mapping[str, str], current: Validators) -> bool:
    if (tags := headers.get("if-match")) is not None:
        return _matches(tags, current.etag, weak=False)
    at = _date(headers.get("if-unmodified-since"))
    return at is None or current.modified_at is None or current.modified_at <= at


def _has_changed(headers: Mapping[str, str], current: Validators) -> bool:
    if (tags := headers.get("if-none-match")) is not None:
        return not _matches(tags, current.etag, weak=True)
    at = _date(headers.get("if-modified-since"))
    return at is None or current.modified_at is None or current.modified_at > at


def _matches(tags: str, etag: str, *, weak: bool) -> bool:
    if tags.strip() == "*":
        return True
    listed = ENTITY_TAG.findall(tags)
    return etag in ([tag.removeprefix("W/") for tag in listed] if weak else listed)


def _date(text: str | None) -> dt.datetime | None:
    """Return a time in UTC; None for text that is no date, which the RFC says to ignore."""
    try:
        at = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):  # OverflowError: a number of many digits
        return None
    return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at
