"""Keeps the Redis list `headrace:dead-letters` equal to the dead letters in Postgres: appends to it or rebuilds it.

The list is a projection. Each of several Redis has all of it, so that any of them shows every dead letter. If it is
lost, changed or outdated by a redrive, the next run corrects it. A second key holds the length and fingerprint of the
projected list, so that a run without changes costs one query and one round trip. A lost list is found without one.
"""

from collections.abc import Sequence
from functools import partial

import asyncpg
import msgspec

from shared.connections.redis import Redis
from shared.connections.redis_shards import RedisShard, RedisShards, ask_each
from shared.failpoints import failpoint
from shared.schemas.failures import DEAD_LETTER_LIST, dead_letter

PROJECTED = f"{DEAD_LETTER_LIST}:projected"
BATCH = 500
WRITE_S = 10.0  # a list that was lost is written at once

# The fingerprint of all dead letters, and of the first $1 of them; ids in the order of the list.
FINGERPRINTS = """
WITH dead AS (
    SELECT id::text, row_number() OVER (ORDER BY finished_at, id) AS position
    FROM tasks WHERE state = 'dead' AND dismissed_at IS NULL
)
SELECT count(*) AS length, coalesce(md5(string_agg(id, '' ORDER BY position)), '') AS fingerprint,
       coalesce(md5(string_agg(id, '' ORDER BY position) FILTER (WHERE position <= $1)), '') AS fingerprint_of_projected
FROM dead
"""

DEAD_LETTERS = """
SELECT t.job_id, t.generation, t.kind, t.ordinal, t.failure, t.attempts, t.first_failed_at, t.last_failed_at,
       j.tenant, j.options
FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.state = 'dead' AND t.dismissed_at IS NULL
ORDER BY t.finished_at, t.id OFFSET $1
"""


class Projected(msgspec.Struct, frozen=True):
    """The list as it was last written."""

    length: int = 0
    fingerprint: str = ""


_State = tuple[Projected, int]  # and the length of the list


def keep(projected: Projected, list_length: int, length: int, fingerprint_of_projected: str) -> int:
    """Return how many entries of the list stay; the remaining dead letters are appended."""
    is_intact = list_length == projected.length <= length and fingerprint_of_projected == projected.fingerprint
    return projected.length if is_intact else 0


class DeadLetterList:
    """The projection. `run_once` of the maintenance loop."""

    def __init__(self, shards: RedisShards) -> None:
        self._shards = shards
        self._left: dict[str, _State] = {}  # by Redis: what the last run left there

    async def are_changed(self) -> bool:
        """Return whether a Redis that answers has another list than this process left there."""
        answers = await ask_each(self._shards, _read)
        return any(self._left.get(shard.name) != state for shard, state in answers.by_shard.items())

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Make the lists equal to the dead letters in Postgres. Raise an error of Redis after the other lists."""
        answers = await ask_each(self._shards, _read)
        errors = list(answers.errors)
        self._left = {}  # until it is compared: a run may fail
        alike: dict[_State, list[RedisShard]] = {}
        for shard, state in answers.by_shard.items():
            alike.setdefault(state, []).append(shard)
        for (projected, list_length), shards in alike.items():
            if changes := await _changes(connection, projected, list_length):
                written = await ask_each(shards, partial(_write, changes=changes), within_s=WRITE_S)
                self._left |= {shard.name: (changes.now, changes.now.length) for shard in written.by_shard}
                errors += written.errors
            else:
                self._left |= {shard.name: (projected, list_length) for shard in shards}
        if errors:
            raise errors[0]


class _Changes(msgspec.Struct, frozen=True):
    kept: int  # entries of the list
    letters: Sequence[bytes]  # that follow
    now: Projected


async def _changes(connection: asyncpg.Connection, projected: Projected, list_length: int) -> _Changes | None:
    row = await connection.fetchrow(FINGERPRINTS, projected.length)
    now = Projected(row["length"], row["fingerprint"])
    if projected == now and list_length == now.length:
        return None
    kept = keep(projected, list_length, now.length, row["fingerprint_of_projected"])
    letters = [msgspec.json.encode(dead_letter(row)) for row in await connection.fetch(DEAD_LETTERS, kept)]
    return _Changes(kept, letters, now)


async def _read(redis: Redis) -> _State:
    pipe = redis.pipeline(transaction=False)
    pipe.get(PROJECTED)
    pipe.llen(DEAD_LETTER_LIST)
    projected, length = await pipe.execute()
    return msgspec.json.decode(projected, type=Projected) if projected else Projected(), length


async def _write(redis: Redis, changes: _Changes) -> None:
    pipe = redis.pipeline(transaction=True)
    if not changes.kept:
        pipe.delete(DEAD_LETTER_LIST)
    for start in range(0, len(changes.letters), BATCH):
        pipe.rpush(DEAD_LETTER_LIST, *changes.letters[start : start + BATCH])
    pipe.set(PROJECTED, msgspec.json.encode(changes.now))
    failpoint("dead_letter_list.before_exec")
    await pipe.execute()
