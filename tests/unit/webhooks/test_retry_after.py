import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.outbound.http_errors import LONGEST_S, retry_after_s

NOW = dt.datetime(2026, 11, 21, 12, 0, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("Sat, 21 Nov 2026 12:02:00 GMT", 120),
        ("Sat, 21 Nov 2026 13:02:00 +0100", 120),
        ("Sat, 21 Nov 2026 12:02:00 -0000", 120),
        ("Saturday, 21-Nov-26 12:02:00 GMT", 120),
        ("9" * 400, LONGEST_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S),
    ],
)
def test_seconds_and_dates_are_parsed(value: str, wait_s: float) -> None:
    assert retry_after_s(value, now=NOW) == wait_s


@pytest.mark.parametrize(
    "value", ["", "0", "-5", "1.5", "soon", "٣", "nan", "inf", "Sat, 21 Nov 2026 11:00:00 GMT", "Sat, 99 Nov 2026"]
)
def test_invalid_values_are_none(value: str) -> None:
    assert retry_after_s(value, now=NOW) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [+-]?\w{0,6}"))
def test_any_value_gives_a_finite_wait_or_none(value: str) -> None:
    wait_s = retry_after_s(value, now=NOW)

    assert wait_s is None or 0 < wait_s <= LONGEST_S
