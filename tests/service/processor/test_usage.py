"""Seconds of audio and bytes of fetched sources count once, when they are first known."""

from typing import Any

import asyncpg

from processor_service.maintenance.expire import fold_usage
from processor_service.maintenance.loop import run_locked
from processor_service.tasks.outcomes import Failed, Fetched, Interrupted, JobDone, Split
from processor_service.tasks.settle import settle
from tests.service.processor.conftest import Claim, Submit
from tests.service.processor.test_settle import AUDIO, DAMAGED, POLICY, SPANS

FACTS = Fetched(container="mp3", bytes=1234, sha256="ab")
SUMS = "SELECT sum(uploads), sum(bytes), sum(audio_s) FROM tenant_usage WHERE tenant = 'default' AND day = usage_day()"
REDRIVE = "UPDATE jobs SET status = 'PROCESSING', generation = generation + 1"


async def used(database: asyncpg.Pool) -> tuple[Any, ...]:
    return tuple(await database.fetchrow(SUMS))


async def test_seconds_count_when_a_short_file_is_done(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    for _ in range(2):
        await settle(database, await claim_task(await submit()), JobDone((), AUDIO), policy=POLICY)
    assert await used(database) == (0, 0, 2 * AUDIO.duration_s)


async def test_seconds_count_once_after_a_retry_or_redrive(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task_id = await submit()
    await settle(database, await claim_task(task_id), Interrupted(), policy=POLICY)
    assert await used(database) == (None, None, None)
    await settle(database, await claim_task(task_id), Split(AUDIO, SPANS, ()), policy=POLICY)
    assert await used(database) == (0, 0, AUDIO.duration_s)
    await database.execute("UPDATE tasks SET state = 'dispatched' WHERE id = $1", task_id)
    await database.execute("DELETE FROM tasks WHERE kind = 'chunk'")
    await database.execute("UPDATE tasks SET generation = generation + 1")
    await database.execute(REDRIVE)
    await settle(database, await claim_task(task_id), JobDone((), AUDIO), policy=POLICY)
    assert await used(database) == (0, 0, AUDIO.duration_s)


async def test_undecodable_audio_counts_no_seconds(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    await settle(database, await claim_task(await submit()), Failed(DAMAGED), policy=POLICY)
    assert await used(database) == (None, None, None)


async def test_the_bytes_of_a_url_count_once(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    task_id = await submit()
    await database.execute("UPDATE jobs SET source_bytes = NULL, source_sha256 = NULL, container = NULL")
    for _ in range(2):
        await settle(database, await claim_task(task_id), FACTS, policy=POLICY)
    assert await used(database) == (0, FACTS.bytes, 0)


async def test_past_days_are_folded_to_one_row_each(database: asyncpg.Pool) -> None:
    insert = "INSERT INTO tenant_usage VALUES ($1, usage_day() - $2::int, $3, 1, 10, 0.5)"
    for tenant, days_ago, shards in [("a", 0, 3), ("a", 1, 3), ("a", 2, 4), ("b", 2, 2), ("b", 300, 1)]:
        await database.executemany(insert, [(tenant, days_ago, shard) for shard in range(shards)])
    for _ in range(2):
        assert await run_locked(database, "usage", fold_usage) == []
    rows = await database.fetch(
        "SELECT tenant, usage_day() - day, shard, uploads, bytes, audio_s FROM tenant_usage ORDER BY 1, 2, 3"
    )
    young = [("a", days_ago, shard, 1, 10, 0.5) for days_ago in (0, 1) for shard in range(3)]
    assert [tuple(row) for row in rows] == [
        *young, ("a", 2, 0, 4, 40, 2.0), ("b", 2, 0, 2, 20, 1.0), ("b", 300, 0, 1, 10, 0.5)
    ]  # fmt: skip
