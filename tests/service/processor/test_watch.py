"""What the leader looks for on behalf of the slow loops: each has a turn exactly when it has something to do."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from redis.asyncio import Redis

from processor_service.maintenance.dead_letters import DeadLetterList
from processor_service.maintenance.due_times import DueTimes
from processor_service.maintenance.expire import (
    UploadExpirer,
    fold_usage,
    forget_keys,
    forget_sessions,
    forget_source_headers,
)
from processor_service.maintenance.leader import Leader
from processor_service.maintenance.loop import RunOnce, run_locked
from processor_service.maintenance.reconcile import Pruner
from processor_service.maintenance.scan_store import StoreScan
from processor_service.maintenance.storage import DIRECT_AGE_S, DirectCollector, OrphanCollector, PartCollector
from processor_service.maintenance.watch import find_overdue, watch
from processor_service.maintenance.webhook_log import keep_webhook_log
from processor_service.tasks.outcomes import Failed
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.connections.redis_shards import alone
from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.queue.enqueue import enqueue
from shared.schemas.failures import DEAD_LETTER_LIST, Failure, FailureCode
from shared.schemas.states import TaskKind
from tests.service.processor.conftest import Claim, Submit

AGE_S = 3600.0
WORK = {
    "idempotency_keys": """INSERT INTO idempotency_keys (tenant, key, claim, job_id, fingerprint, expires_at)
        VALUES ('a', 'b', gen_random_uuid(), gen_random_uuid(), 'c', now() - interval '1 s')""",
    "sessions": """WITH key AS (
            INSERT INTO api_keys (id, tenant, purpose, digest, scopes)
            VALUES ('0123456789abcdef', 'default', 'test', sha256('x'), '{read}') RETURNING id)
        INSERT INTO sessions (id, tenant, key_id, digest, expires_at)
        SELECT 's0000000000000000', 'default', id, sha256('x'), now() - interval '1 s' FROM key""",
    "usage": "INSERT INTO tenant_usage (tenant, day, shard, uploads) VALUES ('a', usage_day() - 2, 1, 1)",
    "source_headers": "INSERT INTO source_headers VALUES (gen_random_uuid(), 'default', 'sealed')",
    "webhook_log": """INSERT INTO webhook_tests (id, tenant, url, host, created_at)
        VALUES (gen_random_uuid(), 'default', 'http://client', 'client', now() - interval '1 day')""",
    "uploads": """INSERT INTO uploads (id, expires_at, lease_token, options, metadata)
        VALUES (gen_random_uuid(), now() - interval '1 s', 1, '{}', '')""",
    "direct_uploads": """INSERT INTO direct_uploads (id, tenant, created_at)
        VALUES (gen_random_uuid(), 'default', now() - interval '2 days')""",
}


def loops(database: asyncpg.Pool, blobs: BlobStore) -> dict[str, RunOnce]:
    def scan(prefix: str, age_s: float = AGE_S) -> StoreScan:
        return StoreScan(blobs, prefix, older_than_s=age_s, again_after_s=AGE_S)

    return {
        "idempotency_keys": forget_keys,
        "sessions": forget_sessions,
        "usage": fold_usage,
        "source_headers": forget_source_headers,
        "webhook_log": keep_webhook_log,
        "uploads": UploadExpirer(blobs),
        "orphans": OrphanCollector(database, blobs, scan(blob_keys.ALL_JOBS)),
        "upload_parts": PartCollector(blobs, scan(blob_keys.ALL_UPLOADS)),
        "direct_uploads": DirectCollector(blobs, scan(blob_keys.ALL_DIRECT, DIRECT_AGE_S)),
    }


@pytest.fixture
def run(database: asyncpg.Pool, storage_url: str) -> Callable[[str], Awaitable[None]]:
    """Run a loop once."""
    all_loops = loops(database, BlobStore(storage_url))

    async def run_one(name: str) -> None:
        await run_locked(database, name, all_loops[name])

    return run_one


async def overdue(database: asyncpg.Pool) -> set[str]:
    return set(await find_overdue(database, orphan_age_s=AGE_S))


async def test_each_loop_is_overdue_until_it_has_run(
    database: asyncpg.Pool, run: Callable[[str], Awaitable[None]]
) -> None:
    scans = {"orphans", "upload_parts", "direct_uploads"}
    assert await overdue(database) == scans  # there was no pass yet
    for name in scans:
        await run(name)
    assert await overdue(database) == set()

    for name, insert in WORK.items():
        await database.execute(insert)
        assert await overdue(database) == {name}
        await run(name)
        assert await overdue(database) == set()


@pytest.mark.parametrize(
    ("change", "are_due"),
    [
        ("UPDATE blob_scans SET before = before - interval '59 minutes'", False),
        ("UPDATE blob_scans SET before = before - interval '61 minutes'", True),
        ("UPDATE blob_scans SET ended_at = NULL", True),
    ],
)
async def test_a_pass_over_the_store_is_due_by_age_and_while_one_is_under_way(
    database: asyncpg.Pool, run: Callable[[str], Awaitable[None]], change: str, *, are_due: bool
) -> None:
    scans = {"orphans", "upload_parts", "direct_uploads"}
    for name in scans:
        await run(name)
    await database.execute(change)
    assert await overdue(database) == (scans if are_due else set())


async def test_a_lost_or_changed_list_is_noticed_without_the_database(
    database: asyncpg.Pool, redis_url: str, submit: Submit, claim_task: Claim
) -> None:
    failed = Failed(Failure(code=FailureCode.UNDECODABLE_AUDIO, message="damaged"))
    async with Redis.from_url(redis_url) as redis:
        letters = DeadLetterList(alone(redis))
        assert await letters.are_changed()  # by the process that led before
        for change in (redis.flushall, lambda: redis.lpop(DEAD_LETTER_LIST)):
            policy = RetryPolicy(waits_s=(), longest_retry_after_s=0)
            await settle(database, await claim_task(await submit()), failed, policy=policy)
            await run_locked(database, "dead_letters", letters)
            assert not await letters.are_changed()
            await change()
            assert await letters.are_changed()
        await run_locked(database, "dead_letters", letters)
        assert not await letters.are_changed()


async def test_an_empty_queue_is_not_pruned(database: asyncpg.Pool, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        pruner = Pruner(alone(redis))
        assert not await pruner.has_work()
        await enqueue(redis, [Dispatch(new_id(), 1, TaskKind.PREPARE, queue_name="gpu")])  # of no task
        assert await pruner.has_work()
        await run_locked(database, "prune", pruner)
        assert not await pruner.has_work()


async def test_what_is_found_gets_a_turn_whatever_failed_before(database: asyncpg.Pool) -> None:
    leader = Leader(database, "one", DueTimes(), settled_s=10.0, jobs_kept_s=0.0)
    answers: list[list[str] | Exception] = [OSError("no answer"), ["sessions"]]

    async def find() -> list[str]:
        answer = answers.pop(0) if answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    watching = asyncio.create_task(watch(leader, 0.0, find))
    turn = asyncio.ensure_future(leader.asked("sessions")())
    await asyncio.sleep(0)
    assert len(answers) == 2  # only the leader looks
    await leader.look()
    await asyncio.wait_for(turn, 10)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
