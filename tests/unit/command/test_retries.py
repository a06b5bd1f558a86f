"""Which requests are repeated, and when."""

import datetime as dt
import math

import pytest

from deploy.command.errors import ApiError, CommandError, UnreachableError
from deploy.command.retries import FOREVER, ONCE, Retries, backoff_s, is_temporary, parse_retry_after

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnreachableError("broken"), True),
        *((ApiError(status, "x", ""), True) for status in (408, 429, 500, 502, 503, 504, 507)),
        *((ApiError(status, "x", ""), False) for status in (400, 401, 403, 404, 409, 410, 413, 415, 422, 501)),
        (ApiError(409, "idempotency_in_progress", ""), True),
        (ApiError(423, "upload_locked", ""), True),
        (CommandError("x"), False),
    ],
)
def test_what_may_succeed_later(error: CommandError, expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_temporary(error) is expected


def test_waits_double_up_to_a_bound() -> None:
    assert [backoff_s(attempt) for attempt in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]
    assert backoff_s(10_000) == 15


def test_the_service_says_when_to_come_again() -> None:
    assert Retries().wait_s(ApiError(429, "x", "", 42.0), 0, 0) == 42
    assert Retries().wait_s(ApiError(503, "x", "", 0.0), 3, 0) == 0.5
    assert Retries().wait_s(ApiError(503, "x", ""), 1, 0) == 1


def test_an_end_comes_earlier_while_the_service_fails_than_while_it_is_busy() -> None:
    retries = Retries(outage_s=10, busy_s=100)

    assert retries.wait_s(UnreachableError(""), 0, 9.6) is None
    assert retries.wait_s(ApiError(429, "x", ""), 0, 9.6) == 0.5
    assert retries.wait_s(ApiError(429, "quota_exceeded", "", 3600.0), 0, 0) is None
    assert FOREVER.wait_s(UnreachableError(""), 3, 1e9) == 4
    assert ONCE.wait_s(UnreachableError(""), 0, 0) is None
    assert FOREVER.wait_s(ApiError(400, "x", ""), 0, 0) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("12", 12),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str | None, seconds: float | None) -> None:
    found = parse_retry_after(text, NOW)

    assert found == seconds
    assert found is None or not math.isnan(found)


@pytest.mark.parametrize("zone", ["+99999999999999999999", "+9999", "x"])
def test_a_date_that_is_none_asks_for_nothing(zone: str) -> None:
    assert parse_retry_after(f"Mon, 01 Jan 2024 00:00:00 {zone}", NOW) in {None, 0.0}
