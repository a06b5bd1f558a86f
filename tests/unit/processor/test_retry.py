import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.tasks.retry import JITTER, MAX_CRASHES, GiveUp, RetryAfter, RetryPolicy, decide, is_poison
from shared.schemas.failures import Failure, FailureCode

POLICY = RetryPolicy(waits_s=(10.0, 20.0, 40.0), longest_retry_after_s=600)


def _failure(*, transient: bool = True, retry_after_s: float | None = None) -> Failure:
    return Failure(code=FailureCode.TIMEOUT, message="slow", transient=transient, retry_after_s=retry_after_s)


@pytest.mark.parametrize(("failed_attempts", "wait_s"), [(1, 10), (2, 20), (3, 40)])
def test_waits_ten_twenty_and_forty_seconds_with_jitter(failed_attempts: int, wait_s: float) -> None:
    waits = {decide(_failure(), failed_attempts=failed_attempts, policy=POLICY) for _ in range(50)}

    assert all(isinstance(one, RetryAfter) and wait_s <= one.wait_s <= wait_s * (1 + JITTER) for one in waits)
    assert len(waits) > 1


def test_the_fourth_failed_attempt_is_the_last() -> None:
    assert decide(_failure(), failed_attempts=4, policy=POLICY) == GiveUp()


def test_a_permanent_failure_is_not_attempted_again() -> None:
    assert decide(_failure(transient=False), failed_attempts=1, policy=POLICY) == GiveUp()


def test_without_waits_there_is_a_single_attempt() -> None:
    assert decide(_failure(), failed_attempts=1, policy=RetryPolicy(waits_s=(), longest_retry_after_s=0)) == GiveUp()


@given(st.floats(min_value=-1e6, max_value=1e9))
def test_retry_after_is_obeyed_within_bounds(retry_after_s: float) -> None:
    decision = decide(_failure(retry_after_s=retry_after_s), failed_attempts=1, policy=POLICY)

    assert decision == RetryAfter(min(max(retry_after_s, 0.0), POLICY.longest_retry_after_s))


def test_a_webhook_endpoint_can_lengthen_waits_but_not_shorten_them() -> None:
    policy = RetryPolicy(waits_s=(10.0,), longest_retry_after_s=600, retry_after_shortens=False)

    def wait_s(asked_s: float) -> float:
        decision = decide(_failure(retry_after_s=asked_s), failed_attempts=1, policy=policy)
        assert isinstance(decision, RetryAfter)
        return decision.wait_s

    assert 10 <= wait_s(1.0) <= 11
    assert (wait_s(60.0), wait_s(1e9)) == (60.0, 600.0)


def test_the_third_crash_is_poison() -> None:
    assert [is_poison(crashes) for crashes in (1, 2, 3)] == [False, False, True]
    assert MAX_CRASHES == 3
