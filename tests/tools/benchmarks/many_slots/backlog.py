"""A backlog of jobs of several tenants, written to PostgreSQL and Redis by the services' own statements."""

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from uuid import UUID

import asyncpg
import msgspec

from ingest_service.uploads.job_row import INSERT_JOBS_AND_FIRST_TASKS, JobRow, columns_of
from shared.connections.redis import Redis
from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.queue.enqueue import enqueue
from shared.queue.task_costs import cost_s
from shared.schemas.options import JobOptions
from shared.schemas.states import TaskKind

LARGEST, OTHERS = "largest", 9
SHARE_OF_LARGEST = 0.9  # of the jobs; the other tenants have the rest in equal parts
ROWS_AT_ONCE = 2_000
SOURCE_BYTES, CONTAINER = 960_000, "wav"  # 15 seconds of 16 kHz, guessed
COST_S = cost_s(TaskKind.PREPARE, source_bytes=SOURCE_BYTES, container=CONTAINER)
OPTIONS = msgspec.json.encode(JobOptions(denoise=False)).decode()


def tenants_of(jobs: int) -> Iterator[str]:
    """Yield the tenant of each job: first all of the largest tenant, so that the others arrive behind it."""
    largest = int(jobs * SHARE_OF_LARGEST)
    for number in range(jobs):
        yield LARGEST if number < largest else f"tenant-{number % OTHERS}"


async def write_backlog(database_url: str, redis: Redis, jobs: int) -> None:
    """Record the jobs and enqueue their tasks."""
    connection = await asyncpg.connect(database_url)
    try:
        tenants = tenants_of(jobs)
        for number in range(-(-jobs // ROWS_AT_ONCE)):
            rows = [_row(tenant) for tenant in islice(tenants, ROWS_AT_ONCE)]
            await connection.execute(INSERT_JOBS_AND_FIRST_TASKS, *columns_of(rows))
            await enqueue(redis, [_dispatch(row.task_id, row.tenant) for row in rows])
            if number % 50 == 0:
                _say(f"{number * ROWS_AT_ONCE:,} of {jobs:,} jobs recorded and enqueued")
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _row(tenant: str) -> JobRow:
    return JobRow(
        job_id=new_id(),
        tenant=tenant,
        options_json=OPTIONS,
        metadata_json=None,
        webhook_url=None,
        webhook_secret=None,
        filename="a.wav",
        container=CONTAINER,
        source_bytes=SOURCE_BYTES,
        source_sha256="0" * 64,
        task_id=new_id(),
    )


def _dispatch(task_id: UUID, tenant: str) -> Dispatch:
    return Dispatch(task_id, 1, TaskKind.PREPARE, tenant, COST_S)


def even_tenants() -> Sequence[str]:
    """Return all tenants. While all have waiting jobs, each gets the same share of the slots."""
    return (LARGEST, *(f"tenant-{number}" for number in range(OTHERS)))


def _say(line: str) -> None:
    print(f"bench {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
