"""Decides whether and when a failed task is attempted again. A pure decision; `settle` carries it out."""

import msgspec
from tenacity import AsyncRetrying, RetryCallState, wait_chain, wait_fixed, wait_random
from tenacity.wait import wait_base

from shared.schemas.failures import Failure

JITTER = 0.1  # of the wait: tasks that failed together do not come back together
MAX_CRASHES = 3  # a task that took its process down so often is poison


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a kind of task is attempted, and how long it waits between."""

    waits_s: tuple[float, ...]  # after the first, second, … failed attempt; bounds their number
    longest_retry_after_s: float  # what a server asks for is obeyed up to this
    retry_after_shortens: bool = True  # else it only lengthens a wait: an endpoint could use up its attempts in seconds


class RetryAfter(msgspec.Struct, frozen=True):
    """Attempt the task again when so many seconds have passed."""

    wait_s: float


class GiveUp(msgspec.Struct, frozen=True):
    """The failure is final."""


def decide(failure: Failure, *, failed_attempts: int, policy: RetryPolicy) -> RetryAfter | GiveUp:
    """What follows the `failed_attempts`-th failed attempt (counted from 1)."""
    if not failure.transient or failed_attempts > len(policy.waits_s):
        return GiveUp()
    scheduled_s = _schedule(policy.waits_s)(_after(failed_attempts))
    if failure.retry_after_s is None:
        return RetryAfter(scheduled_s)
    asked_s = min(max(failure.retry_after_s, 0.0), policy.longest_retry_after_s)
    return RetryAfter(asked_s if policy.retry_after_shortens else max(asked_s, scheduled_s))


def is_poison(crashes: int) -> bool:
    """Whether a task that crashed so often is given up: attempting it again would only take the next process down."""
    return crashes >= MAX_CRASHES


def _schedule(waits_s: tuple[float, ...]) -> wait_base:
    return wait_chain(*(wait_fixed(wait_s) + wait_random(0, wait_s * JITTER) for wait_s in waits_s))


def _after(failed_attempts: int) -> RetryCallState:
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = failed_attempts
    return state
