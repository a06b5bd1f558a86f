"""Decides whether and when a failed task is attempted again. A pure decision; `settle` carries it out."""

import msgspec
from tenacity import AsyncRetrying, RetryCallState, wait_chain, wait_fixed, wait_random
from tenacity.wait import wait_base

from shared.failures import Failure

JITTER = 0.1  # of the wait: tasks that failed together do not come back together
LONGEST_RETRY_AFTER_S = 600.0


class RetryAfter(msgspec.Struct, frozen=True):
    """Attempt the task again when so many seconds have passed."""

    wait_s: float


class GiveUp(msgspec.Struct, frozen=True):
    """The failure is final."""


def decide(failure: Failure, *, failed_attempts: int, waits_s: tuple[float, ...]) -> RetryAfter | GiveUp:
    """What follows the `failed_attempts`-th failed attempt (counted from 1); `waits_s` bounds their number."""
    if not failure.transient or failed_attempts > len(waits_s):
        return GiveUp()
    if failure.retry_after_s is not None:
        return RetryAfter(min(max(failure.retry_after_s, 0.0), LONGEST_RETRY_AFTER_S))
    return RetryAfter(_schedule(waits_s)(_after(failed_attempts)))


def _schedule(waits_s: tuple[float, ...]) -> wait_base:
    return wait_chain(*(wait_fixed(wait_s) + wait_random(0, wait_s * JITTER) for wait_s in waits_s))


def _after(failed_attempts: int) -> RetryCallState:
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = failed_attempts
    return state
