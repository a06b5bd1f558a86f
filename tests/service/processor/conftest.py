"""A database with jobs and tasks for tests of the processor."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from processor_service.tasks.claim import ClaimedTask, claim
from shared.ids import new_id

INSERT_JOB = """
INSERT INTO jobs (id, options, container, source_bytes, source_sha256, webhook_url)
VALUES ($1, '{}', 'wav', 4, 'ab', $2)
"""

Submit = Callable[..., Awaitable[UUID]]
Claim = Callable[..., Awaitable[ClaimedTask]]


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=8) as pool:
        yield pool


@pytest.fixture
def submit(database: asyncpg.Pool) -> Submit:
    """Insert a job and its first task as ingest does. Return the task's id."""

    async def submit_one(*, webhook_url: str | None = None) -> UUID:
        job_id, task_id = new_id(), new_id()
        await database.execute(INSERT_JOB, job_id, webhook_url)
        await database.execute("INSERT INTO tasks (id, job_id, kind) VALUES ($1, $2, 'prepare')", task_id, job_id)
        return task_id

    return submit_one


@pytest.fixture
def claim_task(database: asyncpg.Pool) -> Claim:
    """Claim a dispatched task by its current dispatch number."""

    async def claim_one(task_id: UUID, *, lease_s: float = 15.0) -> ClaimedTask:
        dispatch_no = await database.fetchval("SELECT dispatch_no FROM tasks WHERE id = $1", task_id)
        task = await claim(database, task_id, dispatch_no, worker="test", lease_s=lease_s)
        assert task is not None
        return task

    return claim_one


async def task_row(database: asyncpg.Pool, task_id: UUID) -> Any:
    return await database.fetchrow("SELECT * FROM tasks WHERE id = $1", task_id)


async def job_row(database: asyncpg.Pool, job_id: UUID) -> Any:
    return await database.fetchrow("SELECT * FROM jobs WHERE id = $1", job_id)
