"""Asks everything the ingest stands on whether it answers. Uploads need the database and the store; not Redis.

Uploads do not need a processor either: the answer shows whether one runs, and is ready all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from shared.queue.dispatch import PROCESSOR_SEEN_KEY, PROCESSOR_SEEN_TTL_MS
from shared.telemetry.logs import Log

# Finds out whether any processor runs, from the key in Redis that each of them sets every 5 s.
#
# The age of the key follows from its remaining time to live, so only the clock of Redis counts.

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


log = Log(__name__)

CHECK_TIMEOUT_S = 2.0
NEEDED = frozenset({"database", "storage"})


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether uploads are taken, and what is away. Redis away only delays, so it is named but not needed.

    `processors` shows whether one runs. Without a processor uploads are taken, and their jobs wait.
    """

    ready: bool
    away: tuple[str, ...]
    processors: Processors = Processors()


async def check_health(checks: dict[str, Callable[[], Awaitable[Any]]]) -> Readiness:
    """Run all checks side by side; each is a coroutine function that raises when its part is away.

    The check of Redis returns Processors; what the others return is not used.
    """
    answers = await asyncio.gather(*(_answer(name, check) for name, check in checks.items()))
    away = tuple(name for name, answer in zip(checks, answers, strict=True) if isinstance(answer, _Away))
    seen = next((answer for answer in answers if isinstance(answer, Processors)), Processors())
    return Readiness(ready=NEEDED.isdisjoint(away), away=away, processors=seen)


class _Away:
    """Stands for the answer of a part that did not answer."""


async def _answer(name: str, check: Callable[[], Awaitable[Any]]) -> Any:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except Exception as error:  # noqa: BLE001 - any error means away
        log.warning("part_away", part=name, error=str(error) or type(error).__name__)
        return _Away()
