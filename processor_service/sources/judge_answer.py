"""Judges by its status and headers whether an answer brings the source. Pure decisions."""

import datetime as dt
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from processor_service.errors import PermanentError
from processor_service.outbound.retry_after import retry_after_s
from processor_service.source_errors import SourceBrokenError, refused

TRY_AGAIN = frozenset({408, 421, 425, 429})  # and all 5xx
WHAT_IT_MEANS = {
    204: "has nothing there (204)",
    401: "wants to know who asks for it (401)",
    403: "does not give it (403)",
    404: "has nothing there (404)",
    410: "has nothing there any more (410)",
}


def refusal_of(status: int, headers: Mapping[str, str]) -> PermanentError | SourceBrokenError:
    """What an answer means that does not bring the source."""
    if status in TRY_AGAIN or status >= 500:
        return SourceBrokenError(f"answered {status}", retry_after_s=_wait_s(headers))
    return refused(WHAT_IT_MEANS.get(status, f"answered {status}"))


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """What `If-Range` may name, so that a resumed download is the same, byte for byte (RFC 9110, 8.8 and 13.1.5)."""
    etag = headers.get("etag", "")
    if etag.startswith('"') and etag.isascii():
        return etag
    modified_at, at = _time(headers.get("last-modified")), _time(headers.get("date"))
    is_strong = modified_at and at and at - modified_at >= dt.timedelta(seconds=1)
    return headers.get("last-modified") if is_strong else None


def _wait_s(headers: Mapping[str, str]) -> float | None:
    """A time is read by the server's own clock, where it tells it."""
    now = _time(headers.get("date")) or dt.datetime.now(dt.UTC)
    return retry_after_s(headers["retry-after"], now=now) if "retry-after" in headers else None


def _time(value: str | None) -> dt.datetime | None:
    try:
        time = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return time.replace(tzinfo=time.tzinfo or dt.UTC)
