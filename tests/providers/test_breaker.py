import contextlib

import pytest

from processor_service.providers.breaker import LONGEST_REST_S, Breaker, Call, RestingError, Rules

RULES = Rules(failures=3, cool_down_s=30.0)


class Clock:
    """Stands still until it is moved."""

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


def _fail(breaker: Breaker, times: int = 1, *, asked_rest_s: float | None = None) -> None:
    for _ in range(times):
        with breaker.call() as call:
            call.failed(asked_rest_s=asked_rest_s)


def _wait_s(breaker: Breaker) -> float | None:
    """How long it rests; None: a request may be made, and was abandoned."""
    try:
        with breaker.call():
            return None
    except RestingError as resting:
        return resting.wait_s


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    _fail(breaker, 2)
    assert _wait_s(breaker) is None

    _fail(breaker)
    assert _wait_s(breaker) == RULES.cool_down_s


def test_a_success_between_begins_the_count_anew(breaker: Breaker) -> None:
    _fail(breaker, 2)
    with breaker.call() as call:
        call.succeeded()
    _fail(breaker, 2)

    assert _wait_s(breaker) is None


def test_a_request_that_was_given_up_says_nothing(breaker: Breaker) -> None:
    _fail(breaker, 2)
    with contextlib.suppress(ZeroDivisionError), breaker.call():
        raise ZeroDivisionError
    assert _wait_s(breaker) is None

    _fail(breaker)
    assert _wait_s(breaker) == RULES.cool_down_s


def test_after_the_cool_down_one_probe_is_let_through_at_a_time(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now_s += RULES.cool_down_s - 1
    assert _wait_s(breaker) == 1

    clock.now_s += 1
    with breaker.call() as probe:
        assert [_wait_s(breaker) for _ in range(3)] == [0, 0, 0]
        probe.succeeded()
    with breaker.call(), breaker.call():
        pass


def test_a_probe_that_fails_opens_it_again_at_once(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now_s += RULES.cool_down_s
    _fail(breaker)

    assert _wait_s(breaker) == RULES.cool_down_s


def test_a_probe_that_succeeds_closes_it_for_as_many_failures_as_before(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now_s += RULES.cool_down_s
    with breaker.call() as probe:
        probe.succeeded()
    _fail(breaker, 2)
    assert _wait_s(breaker) is None

    _fail(breaker)
    assert _wait_s(breaker) == RULES.cool_down_s


def test_a_probe_that_is_given_up_makes_room_for_the_next(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now_s += RULES.cool_down_s
    with contextlib.suppress(ZeroDivisionError), breaker.call():
        raise ZeroDivisionError

    with breaker.call() as probe:
        assert _wait_s(breaker) == 0
        probe.succeeded()


@pytest.mark.parametrize(("asked_s", "rest_s"), [(7.0, 7.0), (1e9, LONGEST_REST_S)])
def test_a_provider_that_asks_to_be_left_alone_is_within_a_clamp(
    breaker: Breaker, asked_s: float, rest_s: float
) -> None:
    _fail(breaker, asked_rest_s=asked_s)

    assert _wait_s(breaker) == rest_s


def test_a_probe_that_fails_opens_it_again_however_it_was_opened(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, asked_rest_s=7.0)
    clock.now_s += 7.0
    _fail(breaker)

    assert _wait_s(breaker) == RULES.cool_down_s


@pytest.mark.parametrize("end", [Call.succeeded, Call.failed, Call.abandoned])
def test_what_was_asked_before_it_opened_says_nothing_after(breaker: Breaker, clock: Clock, end: object) -> None:
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
