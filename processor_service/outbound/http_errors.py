"""Says why a request to somebody else's server broke, by the kind of the error: its words may hold what is secret."""

import datetime as dt
from email.utils import parsedate_to_datetime

import aiohttp

# Reads the `Retry-After` header of an answer (RFC 9110, 10.2.3).

LONGEST_S = 365 * 24 * 3600.0  # a finite number for every wish


def retry_after_s(value: str, *, now: dt.datetime) -> float | None:
    """How many seconds the header asks to wait; None when it asks for none, or in no known form."""
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
    """What that server did, as the end of a sentence without its full stop; `awaited` had not come as a whole."""
    match error:
        case TimeoutError():
            return "did not answer in time"
        case aiohttp.ClientConnectorDNSError():
            return "has a name that could not be looked up"
        case aiohttp.ClientSSLError():
            return "could not prove by TLS who it is"
        case aiohttp.ClientConnectorError():
            return "could not be connected to"
        case aiohttp.ClientResponseError():
            return "answered with something that is not HTTP"
        case _:
            return f"ended the connection before {awaited} was complete"
