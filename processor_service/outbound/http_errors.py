"""Describes HTTP failures of other servers by the kind of error. The text of an error may contain secrets."""

import datetime as dt
from email.utils import parsedate_to_datetime

import aiohttp

LONGEST_S = 365 * 24 * 3600.0  # caps every Retry-After


def retry_after_s(value: str, *, now: dt.datetime) -> float | None:
    """Return the wait that a `Retry-After` header requests (RFC 9110, 10.2.3); None: no wait, or invalid."""
    wait_s = _seconds(value.strip(), now)
    return min(wait_s, LONGEST_S) if wait_s and wait_s > 0 else None


def _seconds(value: str, now: dt.datetime) -> float | None:
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return (when.replace(tzinfo=when.tzinfo or dt.UTC) - now).total_seconds()


def why_broken(error: Exception, awaited: str = "its answer") -> str:
    """Return what the server did, as a predicate without a full stop; `awaited` was not received completely."""
    match error:
        case TimeoutError():
            return "did not answer in time"
        case aiohttp.ClientConnectorDNSError():
            return "has a host name that could not be resolved"
        case aiohttp.ClientSSLError():
            return "failed the TLS verification"
        case aiohttp.ClientConnectorError():
            return "could not be reached"
        case aiohttp.ClientResponseError():
            return "did not answer with valid HTTP"
        case _:
            return f"closed the connection before {awaited} was complete"
