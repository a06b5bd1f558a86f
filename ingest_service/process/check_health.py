"""Asks everything the ingest stands on whether it answers. Uploads need the database and the store; not Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from shared.logs import Log

log = Log(__name__)

CHECK_TIMEOUT_S = 2.0
NEEDED = frozenset({"database", "storage"})


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether uploads are taken, and what is away. Redis away only delays, so it is named but not needed."""

    ready: bool
    away: tuple[str, ...]


async def check_health(checks: dict[str, Callable[[], Awaitable[Any]]]) -> Readiness:
    """Run all checks side by side; each is a coroutine function that raises when its part is away."""
    answers = await asyncio.gather(*(_answers(name, check) for name, check in checks.items()))
    away = tuple(name for name, answered in zip(checks, answers, strict=True) if not answered)
    return Readiness(ready=NEEDED.isdisjoint(away), away=away)


async def _answers(name: str, check: Callable[[], Awaitable[Any]]) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Exception as error:  # noqa: BLE001 - any error means away
        log.warning("part_away", part=name, error=str(error) or type(error).__name__)
        return False
    return True
