"""Check the ingest's dependencies. Uploads need the database and the blob store, not Redis and not a processor."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from shared.connections.redis_shards import RedisShards, ask_each
from shared.queue.dispatch import PROCESSOR_SEEN_KEY, PROCESSOR_SEEN_TTL_MS
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

OUTAGES = Outages(Log(__name__), "dependency_unavailable", "dependency_available", is_error=True)  # of this process
CHECK_TIMEOUT_S = 2.0
NEEDED = frozenset({"database", "storage"})
SEEN_WITHIN_S = 15.0  # processors write the key every 5 s: two writes may be missed


class Processors(msgspec.Struct, frozen=True, kw_only=True):
    """Whether at least one processor, busy or idle, has been seen in the last 15 s.

    `unknown`: no Redis is available. `seen_s_ago` is null then, and when no processor has been seen for a day.
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
    seen = [result.processors if isinstance(result, _Unavailable) else result for result in results]
    known = next((one for one in seen if isinstance(one, Processors) and one != Processors()), Processors())
    return Readiness(ready=NEEDED.isdisjoint(away), away=away, processors=known)


class PartOfRedisError(Exception):
    """Some of several Redis do not answer. The log names them."""

    def __init__(self, processors: Processors) -> None:
        super().__init__("some Redis do not answer")
        self.processors = processors  # by those that answer


class _Unavailable(msgspec.Struct, frozen=True):
    """The result of a failed check."""

    processors: Processors


async def _run_check(name: str, check: Callable[[], Awaitable[Any]]) -> Any:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            result = await check()
    except Exception as error:  # noqa: BLE001 - every error means unavailable
        OUTAGES.failed(error, name)
        return _Unavailable(error.processors if isinstance(error, PartOfRedisError) else Processors())
    OUTAGES.worked(name)
    return result


async def see_processors(shards: RedisShards) -> Processors:
    """Return whether a processor runs, in one round trip.

    The age of the processors' key follows from its remaining time to live. So only the clock of Redis matters. Raise
    redis-py's errors and OSError if no Redis answers, and PartOfRedisError if some do not.
    """
    answers = await ask_each(shards, lambda redis: redis.pttl(PROCESSOR_SEEN_KEY))
    seen = _processors_seen(max(answers.require_one().values()))
    if answers.errors:
        raise PartOfRedisError(seen) from answers.errors[0]
    return seen


def _processors_seen(ttl_ms: int) -> Processors:
    """A missing key has a negative time to live."""
    if ttl_ms < 0:
        return Processors(status="not_seen")
    age_s = max(0, PROCESSOR_SEEN_TTL_MS - ttl_ms) / 1000
    return Processors(status="seen" if age_s <= SEEN_WITHIN_S else "not_seen", seen_s_ago=age_s)
