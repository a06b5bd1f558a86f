"""The Redis list equals the dead letters in Postgres, whatever happened to the list."""

import json
from typing import Any
from uuid import UUID

import asyncpg
from redis.asyncio import Redis

from processor_service.maintenance.dead_letters import DeadLetterList, Projected, keep
from processor_service.maintenance.loop import run_locked
from processor_service.tasks.outcomes import Failed
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.connections.redis_shards import alone
from shared.schemas.failures import DEAD_LETTER_LIST, Failure, FailureCode
from tests.service.processor.conftest import Claim, Submit

POLICY = RetryPolicy(waits_s=(), longest_retry_after_s=0)
DAMAGED = Failure(code=FailureCode.UNDECODABLE_AUDIO, message="damaged", traceback="Traceback …")


async def _fail(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> UUID:
    task = await claim_task(await submit())
    await settle(database, task, Failed(DAMAGED), policy=POLICY)
    return task.job_id


async def _listed(database: asyncpg.Pool, redis: Any) -> list[str]:
    """Return the jobs on the list after one run."""
    await run_locked(database, "dead_letters", DeadLetterList(alone(redis)))
    letters = [json.loads(entry) for entry in await redis.lrange(DEAD_LETTER_LIST, 0, -1)]
    return [letter["job_id"] for letter in letters]


async def test_a_dead_letter_is_complete(
    database: asyncpg.Pool, redis_url: str, submit: Submit, claim_task: Claim
) -> None:
    job_id = await _fail(database, submit, claim_task)
    async with Redis.from_url(redis_url) as redis:
        assert await _listed(database, redis) == [str(job_id)]
        letter = json.loads(await redis.lindex(DEAD_LETTER_LIST, 0))

    assert (letter["code"], letter["message"], letter["attempts"]) == ("undecodable_audio", "damaged", 1)
    assert (letter["task_kind"], letter["ordinal"], letter["generation"]) == ("prepare", 0, 1)
    assert (letter["tenant"], letter["options"], letter["traceback"]) == ("default", {}, "Traceback …")
    assert letter["first_failed_at"] == letter["last_failed_at"]


async def test_the_list_is_appended_to_and_rebuilt_when_lost_or_changed(
    database: asyncpg.Pool, redis_url: str, submit: Submit, claim_task: Claim
) -> None:
    async with Redis.from_url(redis_url) as redis:
        first = str(await _fail(database, submit, claim_task))
        assert await _listed(database, redis) == [first]
        second = str(await _fail(database, submit, claim_task))
        assert await _listed(database, redis) == [first, second]

        await redis.flushall()
        assert await _listed(database, redis) == [first, second]
        await redis.lpop(DEAD_LETTER_LIST)
        assert await _listed(database, redis) == [first, second]
        await redis.rpush(DEAD_LETTER_LIST, "{}")
        assert await _listed(database, redis) == [first, second]


async def test_a_dismissed_dead_letter_leaves_the_list(
    database: asyncpg.Pool, redis_url: str, submit: Submit, claim_task: Claim
) -> None:
    async with Redis.from_url(redis_url) as redis:
        first = await _fail(database, submit, claim_task)
        second = await _fail(database, submit, claim_task)
        await _listed(database, redis)

        await database.execute("UPDATE tasks SET dismissed_at = now() WHERE job_id = $1", first)
        assert await _listed(database, redis) == [str(second)]
        await database.execute("UPDATE tasks SET dismissed_at = now() WHERE job_id = $1", second)
        assert await _listed(database, redis) == []


def test_entries_stay_only_when_they_are_a_prefix_of_the_dead_letters() -> None:
    projected = Projected(2, "ab")

    assert keep(projected, list_length=2, length=3, fingerprint_of_projected="ab") == 2
    assert keep(projected, list_length=1, length=3, fingerprint_of_projected="ab") == 0
    assert keep(projected, list_length=2, length=1, fingerprint_of_projected="a") == 0
    assert keep(projected, list_length=2, length=3, fingerprint_of_projected="xb") == 0
