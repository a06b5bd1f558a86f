import contextlib

import pytest

from processor_service.webhooks.host_shares import SHORTEST_WAIT_S, Turns


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _fill(turns: Turns, stack: contextlib.ExitStack, host: str) -> int:
    """Take turns for a host until it has to wait; how many it got."""
    got = 0
    while not turns.wait_s(host):
        stack.enter_context(turns.taken(host))
        got += 1
    return got


@pytest.mark.parametrize("at_once", [2, 5, 50, 500])
def test_one_busy_host_gets_half(at_once: int) -> None:
    with contextlib.ExitStack() as stack:
        got = _fill(Turns(at_once), stack, "slow")

    assert got == (at_once + 1) // 2


@pytest.mark.parametrize("hanging", [1, 2, 3, 5])
def test_however_many_hosts_hang_a_new_one_finds_room(hanging: int) -> None:
    turns = Turns(50)
    with contextlib.ExitStack() as stack:
        shares = [_fill(turns, stack, f"slow-{number}") for number in range(hanging)]

        assert sum(shares) < 50
        assert turns.wait_s("new") == 0


def test_a_single_place_is_given_too() -> None:
    assert Turns(1).wait_s("any") == 0


def test_a_turn_that_is_over_makes_room() -> None:
    turns = Turns(50)
    with contextlib.ExitStack() as stack:
        _fill(turns, stack, "busy")
        assert turns.wait_s("busy") > 0

    assert turns.wait_s("busy") == 0


def test_a_failed_turn_makes_room_too() -> None:
    turns = Turns(2)
    with contextlib.suppress(ZeroDivisionError), turns.taken("host"):
        assert turns.wait_s("host") > 0
        raise ZeroDivisionError

    assert turns.wait_s("host") == 0


def test_a_host_that_hangs_is_left_alone_the_longer_the_longer_it_hangs() -> None:
    clock = Clock()
    turns = Turns(4, clock_s=clock)
    with contextlib.ExitStack() as stack:
        _fill(turns, stack, "slow")
        assert turns.wait_s("slow") == SHORTEST_WAIT_S

        clock.now_s += 12
        assert turns.wait_s("slow") == 12
