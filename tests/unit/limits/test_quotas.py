"""Which jobs fit a tenant's quotas."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.quotas.quota_usage import Quotas, Used
from ingest_service.quotas.quotas import Wanted, over_quota, over_quota_each, seconds_to_midnight
from ingest_service.routes.usage import MAX_DAYS, span_of_days

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 11, 21)
LATER, EARLIEST = DAY + dt.timedelta(days=9), DAY - dt.timedelta(days=MAX_DAYS - 1)


@pytest.mark.parametrize(
    ("quotas", "used", "job_bytes", "quota"),
    [
        (Quotas(), Used(bytes=1 << 60, audio_s=1e12, jobs_queued=1 << 40), 1 << 60, None),
        (Quotas(bytes_a_day=100), Used(bytes=90), 10, None),
        (Quotas(bytes_a_day=100), Used(bytes=90), 11, "bytes_a_day"),
        (Quotas(bytes_a_day=100), Used(bytes=99), 0, None),  # the size of a URL's audio is unknown
        (Quotas(bytes_a_day=100), Used(bytes=100), 0, "bytes_a_day"),
        (Quotas(audio_seconds_a_day=60), Used(audio_s=59.9), 1, None),
        (Quotas(audio_seconds_a_day=60), Used(audio_s=60), 1, "audio_seconds_a_day"),
        (Quotas(jobs_queued=3), Used(jobs_queued=2), 1, None),
        (Quotas(jobs_queued=3), Used(jobs_queued=3), 1, "jobs_queued"),
    ],
)
def test_a_refused_job_names_the_exceeded_quota(quotas: Quotas, used: Used, job_bytes: int, quota: str | None) -> None:
    error = over_quota(quotas, used, job_bytes, NOON)
    if quota is None:
        assert error is None
        return
    assert error is not None
    assert f"`{quota}`" in error.detail
    assert error.retry_after_s == (60 if quota == "jobs_queued" else 12 * 3600)


limits = st.integers(0, 200)


@given(st.builds(Quotas, bytes_a_day=limits, jobs_queued=limits), st.lists(st.integers(1, 50)))
def test_accepted_jobs_stay_within_the_quotas_and_refused_ones_would_not(quotas: Quotas, sizes: list[int]) -> None:
    outcomes = over_quota_each(quotas, Used(), [Wanted("acme", size) for size in sizes], NOON)
    taken = [size for size, outcome in zip(sizes, outcomes, strict=True) if outcome is None]
    assert not quotas.bytes_a_day or sum(taken) <= quotas.bytes_a_day
    assert not quotas.jobs_queued or len(taken) <= quotas.jobs_queued
    used = Used(bytes=sum(taken), jobs_queued=len(taken))
    for size, outcome in zip(sizes, outcomes, strict=True):
        assert outcome is None or over_quota(quotas, used, size, NOON)


@pytest.mark.parametrize(
    ("at", "seconds"),
    [((0, 0, 0, 0), 86_400), ((23, 59, 59, 0), 1), ((23, 59, 59, 999_999), 1), ((23, 59, 58, 1), 2)],
)
def test_a_day_ends_at_midnight_utc(at: tuple[int, int, int, int], seconds: int) -> None:
    assert seconds_to_midnight(dt.datetime(2026, 12, 31, *at, tzinfo=dt.UTC)) == seconds


@pytest.mark.parametrize(
    ("first", "last", "span"),
    [
        (None, None, (DAY - dt.timedelta(days=29), DAY)),
        (None, DAY, (DAY - dt.timedelta(days=29), DAY)),
        (DAY, None, (DAY, DAY)),
        (LATER, None, (LATER, DAY)),  # none
        (None, dt.date.min, (dt.date.min, dt.date.min)),
        (EARLIEST, DAY, (EARLIEST, DAY)),
        (dt.date.min, DAY, (EARLIEST, DAY)),
    ],
)
def test_the_span_of_days(first: dt.date | None, last: dt.date | None, span: tuple[dt.date, dt.date]) -> None:
    assert span_of_days(first, last, DAY) == span
