"""The models that processors can run, announced in Redis every few seconds. Times are those of Redis' clock.

One sorted set holds all names, each scored by its last announcement. A processor of a version before this announces
nothing; the value of PROCESSOR_SEEN_KEY shows that one runs.
"""

from collections.abc import Collection
from typing import NamedTuple

from shared.connections.redis import Redis
from shared.queue.dispatch import PROCESSOR_SEEN_KEY

MODELS_KEY = "headrace:models"
ANY_MODEL = "*"  # announced by an engine that takes every name
ANNOUNCES = b"models"  # the value of PROCESSOR_SEEN_KEY of a processor that announces its models
ANNOUNCED_WITHIN_S = 15.0  # processors announce every 5 s: two may be missed
KEPT_MS = 24 * 3600 * 1000

ANNOUNCE = """
    local time = redis.call('TIME')
    local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
    for _, name in ipairs(ARGV) do redis.call('ZADD', KEYS[1], now_ms, name) end
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - KEPT_MS)
    redis.call('PEXPIRE', KEYS[1], KEPT_MS)
""".replace("KEPT_MS", str(KEPT_MS))


async def announce_models(redis: Redis, names: Collection[str]) -> None:
    """Announce the models of one processor. Raise redis-py's errors."""
    if names:
        await redis.register_script(ANNOUNCE)(keys=[MODELS_KEY], args=list(names))


class Announced(NamedTuple):
    """The names that were announced lately, perhaps with ANY_MODEL, and whether the last processor seen announces."""

    names: frozenset[str]
    is_complete: bool


async def announced_models(redis: Redis) -> Announced:
    """Return the models of all processors, in one round trip. Raise redis-py's errors."""
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.zrange(MODELS_KEY, 0, -1, withscores=True)
        pipeline.get(PROCESSOR_SEEN_KEY)
        (seconds, microseconds), scored, seen = await pipeline.execute()
    oldest_ms = seconds * 1000 + microseconds / 1000 - ANNOUNCED_WITHIN_S * 1000
    names = frozenset(name.decode() for name, at_ms in scored if at_ms >= oldest_ms)
    return Announced(names, is_complete=seen == ANNOUNCES)
