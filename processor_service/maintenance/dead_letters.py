"""Keeps the Redis list `headrace:dead-letters` equal to the dead letters in Postgres: appends, or builds it anew.

The list is a projection: lost, cut or overtaken by a redrive, it is right again after the next turn. A second key holds
the length and a fingerprint of what was projected, so that a turn without news costs one query and one round trip.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg
import msgspec

from shared.failpoints import failpoint
from shared.queue.dispatch import Dispatch
from shared.schemas.failures import DEAD_LETTER_LIST, dead_letter

PROJECTED = f"{DEAD_LETTER_LIST}:projected"
BATCH = 500

# The fingerprint of all dead letters, and of as many as were projected; ids in the order of the list.
FINGERPRINTS = """
WITH dead AS (
    SELECT id::text, row_number() OVER (ORDER BY finished_at, id) AS place
    FROM tasks WHERE state = 'dead' AND dismissed_at IS NULL
)
SELECT count(*) AS length, coalesce(md5(string_agg(id, '' ORDER BY place)), '') AS fingerprint,
       coalesce(md5(string_agg(id, '' ORDER BY place) FILTER (WHERE place <= $1)), '') AS fingerprint_of_projected
FROM dead
"""

DEAD_LETTERS = """
SELECT t.job_id, t.generation, t.kind, t.ordinal, t.failure, t.attempts, t.first_failed_at, t.last_failed_at,
       j.tenant, j.options
FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.state = 'dead' AND t.dismissed_at IS NULL
ORDER BY t.finished_at, t.id OFFSET $1
"""


class Redis(Protocol):
    """The part of `redis.asyncio.Redis` that projecting needs."""

    def pipeline(self, transaction: bool = True) -> Any: ...  # noqa: FBT001, FBT002 - redis-py's signature


class Projected(msgspec.Struct, frozen=True):
    """What the list held when it was written last."""

    length: int = 0
    fingerprint: str = ""


def keep(projected: Projected, list_length: int, length: int, fingerprint_of_projected: str) -> int:
    """How many entries of the list may stay; the rest of the record comes after them."""
    is_intact = list_length == projected.length <= length and fingerprint_of_projected == projected.fingerprint
    return projected.length if is_intact else 0


class DeadLetterList:
    """The list, and what it projects."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Make the list equal to the record. Dispatches nothing."""
        projected, list_length = await self._read()
        row = await connection.fetchrow(FINGERPRINTS, projected.length)
        now = Projected(row["length"], row["fingerprint"])
        if projected == now and list_length == now.length:
            return []
        kept = keep(projected, list_length, now.length, row["fingerprint_of_projected"])
        letters = [msgspec.json.encode(dead_letter(row)) for row in await connection.fetch(DEAD_LETTERS, kept)]
        await self._write(kept, letters, now)
        return []

    async def _read(self) -> tuple[Projected, int]:
        pipe = self._redis.pipeline(transaction=True)
        pipe.get(PROJECTED)
        pipe.llen(DEAD_LETTER_LIST)
        projected, length = await pipe.execute()
        return msgspec.json.decode(projected, type=Projected) if projected else Projected(), length

    async def _write(self, kept: int, letters: Sequence[bytes], now: Projected) -> None:
        pipe = self._redis.pipeline(transaction=True)
        if not kept:
            pipe.delete(DEAD_LETTER_LIST)
        for start in range(0, len(letters), BATCH):
            pipe.rpush(DEAD_LETTER_LIST, *letters[start : start + BATCH])
        pipe.set(PROJECTED, msgspec.json.encode(now))
        failpoint("dead_letter_list.before_exec")
        await pipe.execute()
