import contextlib

import pytest

from processor_service.providers.breaker import MAX_OPEN_S, Breaker, BreakerOpenError, Call, Rules

RULES = Rules(failures=3, cool_down_s=30.0)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(RULES, clock_s=clock)


def _fail(breaker: Breaker, times: int = 1, *, retry_after_s: float | None = None) -> None:
    for _ in range(times):
        with breaker.call() as call:
            call.failed(retry_after_s=retry_after_s)


def _wait_s(breaker: Breaker) -> float | None:
    """How long the breaker stays open; None when it admits a request, which is abandoned."""
    try:
        with breaker.call():
            return None
    except BreakerOpenError as error:
        return error.wait_s


def test_consecutive_failures_open_the_breaker(breaker: Breaker) -> None:
    _fail(breaker, 2)
    assert _wait_s(breaker) is None

    _fail(breaker)
    assert _wait_s(breaker) == RULES.cool_down_s


def test_a_success_resets_the_count_of_failures(breaker: Breaker) -> None:
    _fail(breaker, 2)
    with breaker.call() as call:
        call.succeeded()
    _fail(breaker, 2)

    assert _wait_s(breaker) is None


def test_an_abandoned_request_changes_nothing(breaker: Breaker) -> None:
    _fail(breaker, 2)
    with contextlib.suppress(ZeroDivisionError), breaker.call():
        raise ZeroDivisionError
    assert _wait_s(breaker) is None

    _fail(breaker)
    assert _wait_s(breaker) == RULES.cool_down_s


def test_after_the_cool_down_one_probe_at_a_time_is_admitted(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now_s += RULES.cool_down_s - 1
    assert _wait_s(breaker) == 1

    clock.now_s += 1
    with breaker.call() as probe:
        assert [_wait_s(breaker) for _ in range(3)] == [0, 0, 0]
        probe.succeeded()
    with breaker.call(), breaker.call():
        pass


def test_a_failed_probe_opens_the_breaker_again(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now_s += RULES.cool_down_s
    _fail(breaker)

    assert _wait_s(breaker) == RULES.cool_down_s


def test_a_successful_probe_closes_the_breaker_and_resets_the_count(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now_s += RULES.cool_down_s
    with breaker.call() as probe:
        probe.succeeded()
    _fail(breaker, 2)
    assert _wait_s(breaker) is None

    _fail(breaker)
    assert _wait_s(breaker) == RULES.cool_down_s


def test_after_an_abandoned_probe_another_is_admitted(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now_s += RULES.cool_down_s
    with contextlib.suppress(ZeroDivisionError), breaker.call():
        raise ZeroDivisionError

    with breaker.call() as probe:
        assert _wait_s(breaker) == 0
        probe.succeeded()


@pytest.mark.parametrize(("asked_s", "open_s"), [(7.0, 7.0), (1e9, MAX_OPEN_S)])
def test_retry_after_is_obeyed_up_to_a_maximum(breaker: Breaker, asked_s: float, open_s: float) -> None:
    _fail(breaker, retry_after_s=asked_s)

    assert _wait_s(breaker) == open_s


def test_a_failed_probe_opens_a_breaker_that_retry_after_had_opened(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, retry_after_s=7.0)
    clock.now_s += 7.0
    _fail(breaker)

    assert _wait_s(breaker) == RULES.cool_down_s


@pytest.mark.parametrize("end", [Call.succeeded, Call.failed, Call.abandoned])
def test_results_of_requests_from_before_the_opening_are_ignored(breaker: Breaker, clock: Clock, end: object) -> None:
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(breaker.call())
        _fail(breaker, 3)
        clock.now_s += RULES.cool_down_s
        probe = stack.enter_context(breaker.call())
        assert callable(end)
        end(slow)
        assert _wait_s(breaker) == 0
        probe.succeeded()

    assert _wait_s(breaker) is None
