"""Limits the rate of requests over all processes, without asking Redis for each: a process takes a few tokens at once.

Over any time t, all processes together let in at most burst + rate · t, and what they had taken before and not yet
used: `lease_tokens` each, a twentieth of a second's, for a second at most. A lower limit than 20 a second is exact.
While Redis is away each process lets in by its share of the limit.
"""

import asyncio
import math
from typing import Any

import msgspec

from ingest_service.quotas.redis_state import SharedRedis

# The token bucket: so many requests a second, and a burst of them after a pause. Pure; `shared_buckets` has its twin.
#
# The bucket holds at most `burst` tokens and is full at first; `rate_per_s` of them flow in; a request takes one out.

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


# The token buckets that all ingest processes share, in Redis, by its clock.

KEY = "headrace:rate:{subject}"

# Twin of `token_bucket.take`. ARGV: rate_per_s, burst, wanted. What is left goes through text: what Lua hands back as a
# number is cut to a whole one.
TAKE_TOKENS = """
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1] or burst), tonumber(kept[2] or now)
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
local granted = math.min(wanted, math.floor(tokens))
local left = string.format('%.9f', tokens - granted)
redis.call('HSET', KEYS[1], 'tokens', left, 'at', string.format('%.6f', math.max(now, at)))
redis.call('PEXPIRE', KEYS[1], math.min(math.ceil(burst / rate * 1000) + 1000, 1e12))
return {granted, left}
"""


class SharedBuckets:
    """A bucket for each subject, all under one policy."""

    def __init__(self, shared: SharedRedis, policy: Policy) -> None:
        self._shared = shared
        self._policy = policy
        self._script: Any = shared.redis.register_script(TAKE_TOKENS)

    async def take(self, subject: str, wanted: int) -> tuple[int, float] | None:
        """How many tokens were there of those wanted, and how many are left; None when Redis does not answer."""
        arguments = (self._policy.rate_per_s, self._policy.burst, wanted)
        answer = await self._shared.answer(self._script(keys=[KEY.format(subject=subject)], args=arguments))
        return None if answer is None else (int(answer[0]), float(answer[1]))


LEASE_OF_S = 0.05  # the tokens of so much time are taken at once
LEASE_KEPT_S = 1.0
MOST_SUBJECTS = 10_000  # remembered; whoever comes back later takes new tokens


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a request is let in; how many more would be now, as far as this process knows; else when one would."""

    is_granted: bool
    remaining: int
    wait_s: float = 0.0


def lease_tokens(policy: Policy) -> int:
    """How many tokens a process takes at once, at least."""
    return max(1, min(int(policy.rate_per_s * LEASE_OF_S), policy.burst // 4))


class _Lease:
    """What this process has of one subject's tokens. Times are of the loop's clock."""

    __slots__ = ("alone", "asking", "kept_until_s", "left", "refused_until_s", "tokens", "wanted")

    def __init__(self, alone: Bucket) -> None:
        self.tokens = 0
        self.kept_until_s = 0.0
        self.left = 0.0  # in the shared bucket, as it was last told
        self.refused_until_s = 0.0
        self.wanted = 0  # by requests that wait
        self.asking: asyncio.Task[None] | None = None
        self.alone = alone  # for when nobody can be asked


class RateLimiter:
    """The rate of each subject: a key, or a tenant where there are no keys."""

    def __init__(self, shared: SharedRedis, policy: Policy, processes: int) -> None:
        self.policy = policy
        self._shared = shared
        self._buckets = SharedBuckets(shared, policy)
        self._share = policy.share(processes)
        self._leases: dict[str, _Lease] = {}

    async def take(self, subject: str) -> Verdict:
        """Let a request in, or not. Raises nothing."""
        lease = self._leases.get(subject) or self._new_lease(subject)
        while not self._shared.is_away:
            now_s = _now_s()
            if lease.tokens and now_s < lease.kept_until_s:
                lease.tokens -= 1
                return Verdict(is_granted=True, remaining=lease.tokens + int(lease.left))
            if now_s < lease.refused_until_s:
                return Verdict(is_granted=False, remaining=0, wait_s=lease.refused_until_s - now_s)
            await self._ask(subject, lease)
        self._shared.look_again()
        return self._take_alone(lease)

    async def _ask(self, subject: str, lease: _Lease) -> None:
        """Have tokens for all that wait: one question for those of the same moment."""
        lease.wanted += 1
        asking = lease.asking or asyncio.create_task(self._renew(subject, lease))
        lease.asking = asking
        try:
            await asyncio.shield(asking)  # a request that is cancelled takes nothing from the others
        finally:
            lease.wanted -= 1

    async def _renew(self, subject: str, lease: _Lease) -> None:
        wanted = max(lease_tokens(self.policy), lease.wanted)
        answer = await self._buckets.take(subject, wanted)
        lease.asking = None
        if answer is None:
            return
        lease.tokens, lease.left = answer
        now_s = _now_s()
        lease.kept_until_s = now_s + LEASE_KEPT_S
        if lease.tokens < wanted:  # the bucket is empty
            lease.refused_until_s = now_s + wait_s(lease.left, self.policy)

    def _take_alone(self, lease: _Lease) -> Verdict:
        lease.alone, granted = take(lease.alone, self._share, 1, _now_s())
        left = lease.alone.tokens
        return Verdict(is_granted=bool(granted), remaining=int(left), wait_s=wait_s(left, self._share))

    def _new_lease(self, subject: str) -> _Lease:
        if len(self._leases) >= MOST_SUBJECTS:
            self._leases.clear()
        lease = self._leases[subject] = _Lease(Bucket(float(self._share.burst), _now_s()))
        return lease


def _now_s() -> float:
    return asyncio.get_running_loop().time()
