"""The token buckets that all ingest processes share, in Redis, by its clock."""

from typing import Any

from ingest_service.quotas.redis_state import SharedRedis
from ingest_service.quotas.token_bucket import Policy

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
