"""TenantLimits the request rate of each key over all processes. A process takes a few tokens from Redis at once.

Over any time t, all processes together grant at most burst + rate · t requests, plus the tokens they took earlier:
`lease_tokens` each, the tokens of a twentieth of a second, kept for one second at most. Below 20 requests per second
the limit is exact. While Redis is unavailable, each process enforces its share of the limit.
"""

import asyncio
import math
from typing import Any

import msgspec

from ingest_service.quotas.redis_state import SharedRedis

ROUNDING_S = 1e-6  # more than float addition loses: a client that waits `wait_s` finds a token
LEASE_SPAN_S = 0.05  # a process takes the tokens of this span at once
LEASE_KEPT_S = 1.0
MAX_SUBJECTS = 10_000  # in memory; beyond that, all are forgotten and take new tokens

KEY = "headrace:rate:{subject}"

# Must match `take`. ARGV: rate_per_s, burst, wanted. The rest is returned as text: Redis truncates numbers from Lua.
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


class Policy(msgspec.Struct, frozen=True):
    """A rate limit as a token bucket: full at first with `burst` tokens, refilled at `rate_per_s`."""

    rate_per_s: float
    burst: int

    def share(self, processes: int) -> "Policy":
        """The limit of one of several processes that do not communicate."""
        return Policy(self.rate_per_s / processes, max(1, self.burst // processes))

    @property
    def window_s(self) -> int:
        """The time that an empty bucket needs to fill, in whole seconds."""
        return math.ceil(self.burst / self.rate_per_s)


class Bucket(msgspec.Struct, frozen=True):
    """The tokens at a time of a monotonic clock."""

    tokens: float
    at_s: float


def take(bucket: Bucket, policy: Policy, wanted: int, now_s: float) -> tuple[Bucket, int]:
    """Take up to `wanted` tokens. Return the new bucket and the number taken."""
    flowed_in = max(0.0, now_s - bucket.at_s) * policy.rate_per_s
    tokens = min(float(policy.burst), bucket.tokens + flowed_in)
    granted = min(wanted, math.floor(tokens))
    return Bucket(tokens - granted, max(now_s, bucket.at_s)), granted


def wait_s(tokens: float, policy: Policy) -> float:
    """The time until the bucket has a whole token."""
    return 0.0 if tokens >= 1 else (1 - tokens) / policy.rate_per_s + ROUNDING_S


class RateDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a request is granted, the tokens that remain, and the wait until the next token if there is none."""

    is_granted: bool
    remaining: int
    wait_s: float = 0.0


def lease_tokens(policy: Policy) -> int:
    """The minimum number of tokens that a process takes from Redis at once."""
    return max(1, min(int(policy.rate_per_s * LEASE_SPAN_S), policy.burst // 4))


class _Subject:
    """The tokens that this process holds for one subject. Times are on the loop's clock."""

    __slots__ = ("asking", "kept_until_s", "local_bucket", "refused_until_s", "shared_left", "tokens", "wanted")

    def __init__(self, local_bucket: Bucket) -> None:
        self.tokens = 0
        self.kept_until_s = 0.0
        self.shared_left = 0.0  # tokens in the shared bucket at the last answer
        self.refused_until_s = 0.0
        self.wanted = 0  # tokens that waiting requests need
        self.asking: asyncio.Task[None] | None = None
        self.local_bucket = local_bucket  # used while Redis is unavailable


class RateLimiter:
    """TenantLimits the rate of each subject: a key, or a tenant where keys are not required."""

    def __init__(self, shared: SharedRedis, policy: Policy, processes: int) -> None:
        self.policy = policy
        self._shared = shared
        self._take_tokens: Any = shared.redis.register_script(TAKE_TOKENS)
        self._share = policy.share(processes)
        self._subjects: dict[str, _Subject] = {}

    async def take(self, subject: str) -> RateDecision:
        """Grant or refuse a request. Raises nothing."""
        held = self._subjects.get(subject) or self._new_subject(subject)
        while not self._shared.is_unavailable:
            now_s = _now_s()
            if held.tokens and now_s < held.kept_until_s:
                held.tokens -= 1
                return RateDecision(is_granted=True, remaining=held.tokens + int(held.shared_left))
            if now_s < held.refused_until_s:
                return RateDecision(is_granted=False, remaining=0, wait_s=held.refused_until_s - now_s)
            await self._ask(subject, held)
        self._shared.probe_if_due()
        return self._take_locally(held)

    async def _ask(self, subject: str, held: _Subject) -> None:
        """Take tokens for all requests that wait, in one round trip."""
        held.wanted += 1
        asking = held.asking or asyncio.create_task(self._renew(subject, held))
        held.asking = asking
        try:
            await asyncio.shield(asking)  # a cancelled request must not affect the others
        finally:
            held.wanted -= 1

    async def _renew(self, subject: str, held: _Subject) -> None:
        wanted = max(lease_tokens(self.policy), held.wanted)
        answer = await self._take_shared(subject, wanted)
        held.asking = None
        if answer is None:
            return
        held.tokens, held.shared_left = answer
        now_s = _now_s()
        held.kept_until_s = now_s + LEASE_KEPT_S
        if held.tokens < wanted:  # the bucket is empty
            held.refused_until_s = now_s + wait_s(held.shared_left, self.policy)

    async def _take_shared(self, subject: str, wanted: int) -> tuple[int, float] | None:
        """The tokens taken from the shared bucket, and those left; None if Redis does not answer."""
        arguments = (self.policy.rate_per_s, self.policy.burst, wanted)
        answer = await self._shared.answer(self._take_tokens(keys=[KEY.format(subject=subject)], args=arguments))
        return None if answer is None else (int(answer[0]), float(answer[1]))

    def _take_locally(self, held: _Subject) -> RateDecision:
        held.local_bucket, granted = take(held.local_bucket, self._share, 1, _now_s())
        left = held.local_bucket.tokens
        return RateDecision(is_granted=bool(granted), remaining=int(left), wait_s=wait_s(left, self._share))

    def _new_subject(self, subject: str) -> _Subject:
        if len(self._subjects) >= MAX_SUBJECTS:
            self._subjects.clear()
        held = self._subjects[subject] = _Subject(Bucket(float(self._share.burst), _now_s()))
        return held


def _now_s() -> float:
    return asyncio.get_running_loop().time()
