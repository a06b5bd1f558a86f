"""Finds out whether any processor runs, from the key in Redis that each of them sets every 5 s.

The age of the key follows from its remaining time to live, so only the clock of Redis counts.
"""

from typing import Literal

import msgspec
from redis.asyncio import Redis

from shared.queue.dispatch import PROCESSOR_SEEN_KEY, PROCESSOR_SEEN_TTL_MS

LATELY_S = 15.0  # three intervals: two writes may be missed


class Processors(msgspec.Struct, frozen=True, kw_only=True):
    """Whether at least one processor, busy or idle, has been seen in the last 15 s.

    `unknown`: Redis does not answer. `seen_s_ago` is null in that case, and when none has been seen for a day.
    """

    status: Literal["seen", "not_seen", "unknown"] = "unknown"
    seen_s_ago: float | None = None


async def see_processors(redis: Redis) -> Processors:
    """One round trip; raises what the client raises when Redis does not answer."""
    return _seen(await redis.pttl(PROCESSOR_SEEN_KEY))


def _seen(left_ms: int) -> Processors:
    """From the remaining time to live of the key, which is negative when there is no such key."""
    if left_ms < 0:
        return Processors(status="not_seen")
    age_s = max(0, PROCESSOR_SEEN_TTL_MS - left_ms) / 1000
    return Processors(status="seen" if age_s <= LATELY_S else "not_seen", seen_s_ago=age_s)
