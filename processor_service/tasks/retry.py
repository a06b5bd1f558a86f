"""Decides whether and when a failed task is attempted again. A pure decision; `settle` carries it out."""

import random

import msgspec

from shared.schemas.failures import Failure

JITTER = 0.1  # of the wait: tasks that failed at the same moment return at different ones
MAX_CRASHES = 3  # a task that crashed its process so often is poison


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a kind of task is attempted, and how long it waits between attempts."""

    waits_s: tuple[float, ...]  # after the first, second, … failed attempt; their number limits the attempts
    longest_retry_after_s: float  # caps the wait that a server requests
    full_disk_wait_s: float = 15.0  # until the next look at a full disk; these do not count as attempts
    retry_after_shortens: bool = True  # False: a server can only lengthen a wait, never exhaust its attempts early


class RetryAfter(msgspec.Struct, frozen=True):
    """Attempt the task again after a wait."""

    wait_s: float


class GiveUp(msgspec.Struct, frozen=True):
    """The failure is final."""


def decide(failure: Failure, *, failed_attempts: int, policy: RetryPolicy) -> RetryAfter | GiveUp:
    """Return what follows the failed attempt with this number, counted from 1."""
    if not failure.transient or failed_attempts > len(policy.waits_s):
        return GiveUp()
    scheduled_s = policy.waits_s[failed_attempts - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311 - no secret
    if failure.retry_after_s is None:
        return RetryAfter(scheduled_s)
    requested_s = min(max(failure.retry_after_s, 0.0), policy.longest_retry_after_s)
    return RetryAfter(requested_s if policy.retry_after_shortens else max(requested_s, scheduled_s))


def is_poison(crashes: int) -> bool:
    """Whether a task has crashed too often: another attempt would only crash another process."""
    return crashes >= MAX_CRASHES
