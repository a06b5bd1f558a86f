"""Asks everything the ingest stands on whether it answers. Uploads need the database and the store; not Redis.

Uploads do not need a processor either: the answer shows whether one runs, and is ready all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ingest_service.server.see_processors import Processors
from shared.telemetry.logs import Log

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
