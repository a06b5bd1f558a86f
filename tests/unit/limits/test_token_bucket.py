"""Properties of the token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.quotas.rate_limiter import Bucket, Policy, take, wait_s

policies = st.builds(Policy, st.floats(0.01, 10_000), st.integers(1, 10_000))
arrivals = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), min_size=1, max_size=60)  # after s, wanted


def full(policy: Policy) -> Bucket:
    return Bucket(float(policy.burst), 0.0)


@given(policies, arrivals)
def test_no_span_grants_more_than_the_burst_and_the_refill(policy: Policy, arrivals: list[tuple[float, int]]) -> None:
    bucket, now_s = full(policy), 0.0
    grants = []
    for after_s, wanted in arrivals:
        now_s += after_s
        bucket, granted = take(bucket, policy, wanted, now_s)
        grants.append((now_s, granted))
    for first in range(len(grants)):
        for last in range(first, len(grants)):
            most = policy.burst + (grants[last][0] - grants[first][0]) * policy.rate_per_s
            assert sum(granted for _, granted in grants[first : last + 1]) <= most * (1 + 1e-9)


@given(policies, arrivals)
def test_available_tokens_are_granted_and_never_more(policy: Policy, arrivals: list[tuple[float, int]]) -> None:
    bucket, now_s = full(policy), 0.0
    for after_s, wanted in arrivals:
        now_s += after_s
        bucket, granted = take(bucket, policy, wanted, now_s)
        assert 0 <= bucket.tokens <= policy.burst
        assert granted <= wanted
        assert granted == wanted or bucket.tokens < 1


@given(policies, st.integers(1, 20_000), st.floats(0, 1e6))
def test_a_token_is_available_after_wait_s_and_not_after_half_of_it(
    policy: Policy, wanted: int, began_s: float
) -> None:
    bucket, _ = take(Bucket(float(policy.burst), began_s), policy, wanted, began_s)
    told_s = wait_s(bucket.tokens, policy)
    assert take(bucket, policy, 1, began_s + told_s + 1e-3)[1] == 1
    if told_s > 1e-3:
        assert take(bucket, policy, 1, began_s + told_s / 2)[1] == 0


@given(policies, st.floats(0, 1000))
def test_a_clock_that_goes_back_adds_no_tokens(policy: Policy, back_s: float) -> None:
    empty = Bucket(0.0, 1000.0)
    bucket, granted = take(empty, policy, 1, 1000.0 - back_s)
    assert (bucket, granted) == (empty, 0)


@given(policies, st.integers(1, 64))
def test_the_shares_add_up_and_each_grants_at_least_one(policy: Policy, processes: int) -> None:
    share = policy.share(processes)
    assert share.rate_per_s * processes == pytest.approx(policy.rate_per_s)
    assert 1 <= share.burst <= max(1, policy.burst / processes)
