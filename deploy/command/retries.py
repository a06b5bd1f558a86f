"""Decide which requests are repeated, and when. Pure."""

import datetime as dt
import math
from email.utils import parsedate_to_datetime

import msgspec

from deploy.command.errors import ApiError, CommandError

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0
TEMPORARY = frozenset({408, 429, 500, 502, 503, 504, 507})
# The bytes of another request, or its claim of the key, are still in progress.
TEMPORARY_CODES = frozenset({"idempotency_in_progress", "upload_locked", "upload_taken_over"})


class Retries(msgspec.Struct, frozen=True):
    """How long a request is repeated: while the service fails or is unreachable, and while it is too busy (429)."""

    outage_s: float = 300.0
    busy_s: float = 3600.0

    def wait_s(self, error: CommandError, attempt: int, spent_s: float) -> float | None:
        """Return the wait before attempt `attempt + 1`, or None: give up. `attempt` counts from 0."""
        if not is_temporary(error):
            return None
        wanted_s = error.retry_after_s if isinstance(error, ApiError) else None
        wait_s = backoff_s(attempt) if wanted_s is None else max(wanted_s, FIRST_WAIT_S)
        most_s = self.busy_s if isinstance(error, ApiError) and error.status == 429 else self.outage_s
        return wait_s if spent_s + wait_s <= most_s else None


FOREVER = Retries(math.inf, math.inf)
ONCE = Retries(0, 0)


def is_temporary(error: CommandError) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, ApiError):
        return error.status in TEMPORARY or error.code in TEMPORARY_CODES
    return error.code == "unreachable"


def backoff_s(attempt: int) -> float:
    """Return twice the wait before, at most LONGEST_WAIT_S."""
    return min(FIRST_WAIT_S * 2.0 ** min(attempt, 10), LONGEST_WAIT_S)


def parse_retry_after(text: str | None, now: dt.datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for, as a number or a date; None without one."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # a date without a zone, a number of many digits
        return None
