"""Check the ingest's dependencies. Uploads need the database and the blob store, not Redis and not a processor."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from shared.queue.dispatch import PROCESSOR_SEEN_KEY, PROCESSOR_SEEN_TTL_MS
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

OUTAGES = Outages(Log(__name__), "dependency_unavailable", "dependency_available", is_error=True)  # of this process
CHECK_TIMEOUT_S = 2.0
NEEDED = frozenset({"database", "storage"})
SEEN_WITHIN_S = 15.0  # processors write the key every 5 s: two writes may be missed


class Processors(msgspec.Struct, frozen=True, kw_only=True):
    """Whether at least one processor, busy or idle, has been seen in the last 15 s.

    `unknown`: Redis is unavailable. `seen_s_ago` is null then, and when no processor has been seen for a day.
    """

    status: Literal["seen", "not_seen", "unknown"] = "unknown"
    seen_s_ago: float | None = None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether uploads are accepted, and which dependencies are unavailable. Without Redis, jobs only start later.

    `processors` shows whether a processor runs. Without one, uploads are accepted and their jobs wait.
    """

    ready: bool
    away: tuple[str, ...]
    processors: Processors = Processors()


async def check_health(checks: dict[str, Callable[[], Awaitable[Any]]]) -> Readiness:
    """Run all checks concurrently. Each is a coroutine function that raises if its dependency is unavailable.

    The check of Redis returns Processors. Results of other checks are ignored.
    """
    results = await asyncio.gather(*(_run_check(name, check) for name, check in checks.items()))
    away = tuple(name for name, result in zip(checks, results, strict=True) if isinstance(result, _Unavailable))
    seen = next((result for result in results if isinstance(result, Processors)), Processors())
    return Readiness(ready=NEEDED.isdisjoint(away), away=away, processors=seen)


class _Unavailable:
    """The result of a failed check."""


async def _run_check(name: str, check: Callable[[], Awaitable[Any]]) -> Any:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            result = await check()
    except Exception as error:  # noqa: BLE001 - every error means unavailable
        OUTAGES.failed(error, name)
        return _Unavailable()
    OUTAGES.worked(name)
    return result


async def see_processors(redis: Redis) -> Processors:
    """Return whether a processor runs, in one round trip. Raise redis-py's errors if Redis is unavailable.

    The age of the processors' key follows from its remaining time to live. So only the clock of Redis matters.
    """
    return _processors_seen(await redis.pttl(PROCESSOR_SEEN_KEY))


def _processors_seen(ttl_ms: int) -> Processors:
    """A missing key has a negative time to live."""
    if ttl_ms < 0:
        return Processors(status="not_seen")
    age_s = max(0, PROCESSOR_SEEN_TTL_MS - ttl_ms) / 1000
    return Processors(status="seen" if age_s <= SEEN_WITHIN_S else "not_seen", seen_s_ago=age_s)
