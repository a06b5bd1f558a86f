"""Seconds of audio and bytes of fetched sources count once, when they are first known."""

from typing import Any

import asyncpg
import pytest

from processor_service.errors import TransientError
from processor_service.maintenance.expire import fold_usage
from processor_service.maintenance.loop import run_locked
from processor_service.tasks.leases import Leases
from processor_service.tasks.outcomes import Failed, Fetched, Interrupted, Split
from processor_service.tasks.settle import settle
from tests.service.processor.conftest import Claim, Submit
from tests.service.processor.test_settle import AUDIO, DAMAGED, POLICY, SPANS

FACTS = Fetched(container="mp3", bytes=1234, sha256="ab")
SUMS = "SELECT sum(uploads), sum(bytes), sum(audio_s) FROM tenant_usage WHERE tenant = 'default' AND day = usage_day()"
REDRIVE = "UPDATE jobs SET status = 'PROCESSING', generation = generation + 1"


async def used(database: asyncpg.Pool) -> tuple[Any, ...]:
    return tuple(await database.fetchrow(SUMS))


async def test_seconds_count_when_the_audio_is_decoded(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    """Not when the job is done: it may be cancelled before."""
    leases = Leases(database, lease_s=15)
    for _ in range(2):
        await leases.record_audio(await claim_task(await submit()), AUDIO)
    assert await used(database) == (0, 0, 2 * AUDIO.duration_s)


async def test_seconds_count_once_after_a_retry_or_redrive(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    leases, task_id = Leases(database, lease_s=15), await submit()
    await settle(database, await claim_task(task_id), Interrupted(), policy=POLICY)
    assert await used(database) == (None, None, None)
    task = await claim_task(task_id)
    assert await leases.record_audio(task, AUDIO) == 12
    await settle(database, task, Interrupted(), policy=POLICY)
    task = await claim_task(task_id)
    assert await leases.record_audio(task, AUDIO) == 0
    await settle(database, task, Split(AUDIO.duration_s, SPANS, ()), policy=POLICY)
    assert await used(database) == (0, 0, AUDIO.duration_s)
    await database.execute("UPDATE tasks SET state = 'dispatched' WHERE id = $1", task_id)
    await database.execute("DELETE FROM tasks WHERE kind = 'chunk'")
    await database.execute("UPDATE tasks SET generation = generation + 1")
    await database.execute(REDRIVE)
    assert await leases.record_audio(await claim_task(task_id), AUDIO) == 0
    assert await used(database) == (0, 0, AUDIO.duration_s)


async def test_a_worker_that_lost_its_lease_counts_no_seconds(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    task = await claim_task(await submit())
    await database.execute("UPDATE tasks SET lease_token = lease_token + 1")
    with pytest.raises(TransientError):
        await Leases(database, lease_s=15).record_audio(task, AUDIO)
    assert await used(database) == (None, None, None)
    assert await database.fetchval("SELECT duration_s FROM jobs") is None


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
