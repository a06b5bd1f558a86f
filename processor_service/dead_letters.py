"""Parks what failed for good in the Redis list `headrace:dead-letters`; Postgres holds the same facts."""

from typing import Any, Protocol

import msgspec

from shared.failures import DEAD_LETTER_LIST, DeadLetter


class Redis(Protocol):
    """The part of `redis.asyncio.Redis` that parking needs."""

    def rpush(self, name: str, *values: bytes) -> Any: ...


async def park(redis: Redis, letter: DeadLetter) -> None:
    """Append a dead letter; oldest first."""
    await redis.rpush(DEAD_LETTER_LIST, msgspec.json.encode(letter))
