"""The token bucket: so many requests a second, and a burst of them after a pause. Pure; `shared_buckets` has its twin.

The bucket holds at most `burst` tokens and is full at first; `rate_per_s` of them flow in; a request takes one out.
"""

import math

import msgspec

ROUNDING_S = 1e-6  # more than what adding floats may lose: whoever waits as told finds a token


class Policy(msgspec.Struct, frozen=True):
    """How many requests are let in: steadily, and at once."""

    rate_per_s: float
    burst: int

    def share(self, processes: int) -> "Policy":
        """What each of several processes may let in that cannot ask each other."""
        return Policy(self.rate_per_s / processes, max(1, self.burst // processes))

    @property
    def window_s(self) -> int:
        """How long an empty bucket takes to be full."""
        return math.ceil(self.burst / self.rate_per_s)


class Bucket(msgspec.Struct, frozen=True):
    """How many tokens there were at a time of a steady clock."""

    tokens: float
    at_s: float


def take(bucket: Bucket, policy: Policy, wanted: int, now_s: float) -> tuple[Bucket, int]:
    """The bucket after so many tokens were taken out, as far as they are there; and how many were."""
    flowed_in = max(0.0, now_s - bucket.at_s) * policy.rate_per_s
    tokens = min(float(policy.burst), bucket.tokens + flowed_in)
    granted = min(wanted, math.floor(tokens))
    return Bucket(tokens - granted, max(now_s, bucket.at_s)), granted


def wait_s(tokens: float, policy: Policy) -> float:
    """How long until the bucket has a whole token."""
    return 0.0 if tokens >= 1 else (1 - tokens) / policy.rate_per_s + ROUNDING_S
