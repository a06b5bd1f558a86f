"""Concurrent writes of clients and workers: one of them wins completely, and there are no deadlocks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import asyncpg
import pytest_asyncio

from processor_service.database import opened
from processor_service.errors import LeaseLostError
from processor_service.tasks.claim import ClaimedTask, claim
from processor_service.tasks.outcomes import Failed, JobDone, Outcome
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.schemas.failures import Failure, FailureCode
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

RACES = 25
POLICY = RetryPolicy(waits_s=(), longest_retry_after_s=0)
DAMAGED = Failed(Failure(code=FailureCode.UNDECODABLE_AUDIO, message="damaged"))


@pytest_asyncio.fixture
async def database(ingest: Ingest) -> AsyncIterator[asyncpg.Pool]:
    async with opened(ingest.settings.database_url.reveal(), max_size=8, command_timeout_s=30) as pool:
        yield pool


async def claimed(database: asyncpg.Pool, job_id: str) -> ClaimedTask | None:
    row = await database.fetchrow(
        "SELECT id, dispatch_no FROM tasks WHERE job_id = $1 AND kind = 'prepare' ORDER BY generation DESC LIMIT 1",
        job_id,
    )
    return await claim(database, row["id"], row["dispatch_no"], worker="test", lease_s=15)


async def settled(database: asyncpg.Pool, task: ClaimedTask, outcome: Outcome) -> bool:
    try:
        await settle(database, task, outcome, policy=POLICY)
    except LeaseLostError:
        return False
    return True


async def events(ingest: Ingest, job_id: str) -> list[str]:
    rows = await ingest.sql("SELECT type FROM webhook_events WHERE job_id = $1 ORDER BY generation", job_id)
    return [row["type"] for row in rows]


async def submitted(ingest: Ingest) -> str:
    return await ingest.submit(wav(), webhook_url=records.HOOK)


def cancel(ingest: Ingest, job_id: str) -> Awaitable[tuple[int, dict[str, Any]]]:
    return ingest.post(None, path=f"/v1/jobs/{job_id}/cancel")


async def test_cancelling_while_completing_ends_the_job_once(ingest: Ingest, database: asyncpg.Pool) -> None:
    for _ in range(RACES):
        job_id = await submitted(ingest)
        task = await claimed(database, job_id)
        assert task
        (status, _), was_settled = await asyncio.gather(cancel(ingest, job_id), settled(database, task, JobDone(())))
        job = await records.job_row(ingest, job_id)
        assert (status, job["status"]) == ((409, "COMPLETED") if was_settled else (200, "CANCELLED"))
        assert await events(ingest, job_id) == [f"job.{job['status'].lower()}"]
        assert len(await records.tasks_of(ingest, job_id, "deliver")) == 1


async def test_cancelling_while_claiming_cancels_the_job(ingest: Ingest, database: asyncpg.Pool) -> None:
    for _ in range(RACES):
        job_id = await submitted(ingest)
        (status, _), _ = await asyncio.gather(cancel(ingest, job_id), claimed(database, job_id))
        assert status == 200
        assert (await records.job_row(ingest, job_id))["status"] == "CANCELLED"
        (task,) = await records.tasks_of(ingest, job_id, "prepare")
        assert task["state"] == "cancelled"


async def test_erasing_while_failing_leaves_no_dead_letter(ingest: Ingest, database: asyncpg.Pool) -> None:
    for _ in range(RACES):
        job_id = await submitted(ingest)
        task = await claimed(database, job_id)
        assert task
        status, _ = await asyncio.gather(ingest.delete(f"/v1/jobs/{job_id}"), settled(database, task, DAMAGED))
        job = await records.job_row(ingest, job_id)
        assert (status, job["status"] in {"FAILED", "CANCELLED"}, job["error_message"]) == (204, True, None)
        assert len(await events(ingest, job_id)) == 1
    assert (await ingest.get("/v1/dead-letters"))[1]["dead_letters"] == []


async def test_concurrent_redrive_claim_and_cancel_leave_a_valid_state(ingest: Ingest, database: asyncpg.Pool) -> None:
    for _ in range(RACES):
        job_id = await submitted(ingest)
        await records.fail(ingest, job_id)
        (redriven, _), (cancelled, _), _ = await asyncio.gather(
            ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"),
            cancel(ingest, job_id),
            claimed(database, job_id),
        )
        job = await records.job_row(ingest, job_id)
        assert (redriven, job["generation"]) == (202, 2)
        assert job["status"] == "CANCELLED" if cancelled == 200 else job["status"] in {"QUEUED", "PROCESSING"}
