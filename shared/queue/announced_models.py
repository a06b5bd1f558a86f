"""The models that processors can run, and whether they summarize, announced in Redis every few seconds. Times are those
of Redis' clock.

One sorted set holds all names, each scored by its last announcement. A processor of a version before this announces
nothing; the value of PROCESSOR_SEEN_KEY shows that one runs.
"""

from collections.abc import Collection
from typing import NamedTuple

from shared.connections.redis import Redis
from shared.queue.dispatch import PROCESSOR_SEEN_KEY

MODELS_KEY = "headrace:models"
SUMMARIES_KEY = "headrace:summaries"  # set while a processor has chat providers
ANY_MODEL = "*"  # announced by an engine that takes every name
ANNOUNCES = b"models"  # the value of PROCESSOR_SEEN_KEY of a processor that announces its models
SEEN_WITHIN_S = 15.0  # processors announce every 5 s: two may be missed
ANNOUNCED_WITHIN_S = 300.0  # a processor that restarts may load its model for minutes
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


async def announce_summaries(redis: Redis) -> None:
    """Announce that a processor has chat providers. Raise redis-py's errors."""
    await redis.psetex(SUMMARIES_KEY, int(ANNOUNCED_WITHIN_S * 1000), b"1")


async def are_summaries_announced(redis: Redis) -> bool:
    """Return whether a processor with chat providers was seen lately. Raise redis-py's errors."""
    return bool(await redis.exists(SUMMARIES_KEY))


class Announced(NamedTuple):
    """The names that were announced lately, perhaps with ANY_MODEL; whether no processor of an earlier version polls.

    There are no names if no processor has been seen for SEEN_WITHIN_S.
    """

    names: frozenset[str]
    is_complete: bool
    summarizes: bool = False  # a processor with chat providers was seen lately


async def announced_models(redis: Redis) -> Announced:
    """Return the models of all processors, in one round trip. Raise redis-py's errors."""
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.zrange(MODELS_KEY, 0, -1, withscores=True)
        pipeline.get(PROCESSOR_SEEN_KEY)
        pipeline.exists(SUMMARIES_KEY)
        (seconds, microseconds), scored, seen, summarizes = await pipeline.execute()
    age_s = {name.decode(): seconds + microseconds / 1e6 - at_ms / 1000 for name, at_ms in scored}
    is_running = min(age_s.values(), default=SEEN_WITHIN_S) < SEEN_WITHIN_S
    names = frozenset(name for name, each_s in age_s.items() if is_running and each_s < ANNOUNCED_WITHIN_S)
    return Announced(names, seen in {None, ANNOUNCES}, bool(summarizes))  # None: no processor polls yet, or any more
