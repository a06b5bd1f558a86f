import contextlib

import pytest

from processor_service.outbound.shares import SHORTEST_WAIT_S, Shares


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _fill(shares: Shares, stack: contextlib.ExitStack, host: str) -> int:
    """Start requests to a host until it must wait; return their number."""
    started = 0
    while not shares.wait_s(host):
        stack.enter_context(shares.counted(host))
        started += 1
    return started


@pytest.mark.parametrize("at_once", [2, 5, 50, 500])
def test_one_busy_host_gets_half(at_once: int) -> None:
    with contextlib.ExitStack() as stack:
        started = _fill(Shares(at_once), stack, "slow")

    assert started == (at_once + 1) // 2


@pytest.mark.parametrize("hanging", [1, 2, 3, 5])
def test_a_new_host_starts_at_once_while_others_hang(hanging: int) -> None:
    shares = Shares(50)
    with contextlib.ExitStack() as stack:
        started = [_fill(shares, stack, f"slow-{number}") for number in range(hanging)]

        assert sum(started) < 50
        assert shares.wait_s("new") == 0


def test_a_single_delivery_slot_is_used() -> None:
    assert Shares(1).wait_s("any") == 0


def test_a_finished_request_frees_its_share() -> None:
    shares = Shares(50)
    with contextlib.ExitStack() as stack:
        _fill(shares, stack, "busy")
        assert shares.wait_s("busy") > 0

    assert shares.wait_s("busy") == 0


def test_a_failed_request_frees_its_share() -> None:
    shares = Shares(2)
    with contextlib.suppress(ZeroDivisionError), shares.counted("host"):
        assert shares.wait_s("host") > 0
        raise ZeroDivisionError

    assert shares.wait_s("host") == 0


def test_the_wait_grows_with_the_age_of_the_oldest_request() -> None:
    clock = Clock()
    shares = Shares(4, clock_s=clock)
    with contextlib.ExitStack() as stack:
        _fill(shares, stack, "slow")
        assert shares.wait_s("slow") == SHORTEST_WAIT_S

        clock.now_s += 12
        assert shares.wait_s("slow") == 12


def test_one_name_has_at_most_its_limit() -> None:
    with contextlib.ExitStack() as stack:
        assert _fill(Shares(50, most_each=3), stack, "busy") == 3


def test_waiting_requests_of_one_name_return_one_after_another() -> None:
    clock = Clock()
    shares = Shares(4, spread_s=0.1, clock_s=clock)
    with contextlib.ExitStack() as stack:
        _fill(shares, stack, "slow")
        waits_s = [shares.wait_s("slow") for _ in range(100)]

    assert waits_s[-1] - SHORTEST_WAIT_S >= 9.9
    assert waits_s == sorted(waits_s)
