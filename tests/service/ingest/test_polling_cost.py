"""Reading a job or a page costs the same with ten and with a hundred thousand queued jobs."""

import datetime as dt
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

import ingest_service.jobs
from ingest_service.jobs import (
    backlog,
    dead_letters,
    erase,
    queries,
    redrive,
    rows,
    transcript_edits,
    views,
    vocabulary,
    voices,
    wait_estimate,
    webhook_endpoints,
    webhook_log,
    webhook_tests,
    webhooks,
    work,
)
from ingest_service.jobs.wait_estimate import EXACT_JOBS
from shared.ids import new_id
from shared.schemas.states import JobStatus
from tests.support.ingest.serving import Ingest

JOBS = 100_000
MOST_ROWS = 3_000  # that a statement reads from tables and indexes

# Ids in the order of their numbers, of 28 hours; each tenth job is another tenant's.
QUEUE = f"""
    INSERT INTO jobs (id, tenant, status, options, container, source_bytes, source_sha256, completed_at)
    SELECT ('01900000' || lpad(to_hex(number), 8, '0') || '8000' || lpad('', 12, '0'))::uuid,
           CASE WHEN number % 10 = 0 THEN 'other' ELSE 'default' END, 'QUEUED', '{{}}', 'wav', 1000, 'x', NULL
    FROM generate_series(1, {JOBS}) AS number
"""  # noqa: S608 - constants
TASKS = """
    INSERT INTO tasks (id, job_id, kind, state) SELECT gen_random_uuid(), id, 'prepare', 'dispatched' FROM jobs
"""


def statements() -> Iterator[tuple[str, str]]:
    """All statements that read, of the modules that serve jobs."""
    for found in pkgutil.iter_modules(ingest_service.jobs.__path__):
        module = importlib.import_module(f"ingest_service.jobs.{found.name}")
        for name, value in vars(module).items():
            if isinstance(value, str) and not name.startswith("_") and re.match(r"\s*(SELECT|WITH)\b", value):
                yield f"{found.name}.{name}", value


def arguments(job_id: Any) -> dict[str, tuple[str, list[Any]]]:
    """Each statement that a request runs, with its arguments."""
    of_job, of_task, now = ["default", job_id], [job_id], dt.datetime.now(dt.UTC)
    return {
        "queries.ONE_JOB": (queries.ONE_JOB, of_job),
        "queries.POSITION": (queries.POSITION, of_job),
        "queries.RESULTS_OF_JOB": (queries.RESULTS_OF_JOB, of_job),
        "queries.WRITES_OF_JOB": (queries.WRITES_OF_JOB, of_job),
        "rows.LOCK_JOB": (rows.LOCK_JOB, of_job),
        "views.STATES": (views.STATES, [["default"], [job_id]]),
        "dead_letters.DEAD_TASKS": (dead_letters.DEAD_TASKS, of_task),
        "views.TENANT_STATES": (views.TENANT_STATES, [["default"], [job_id], ["default"]]),
        "queries.NAMED_JOBS": (queries.NAMED_JOBS, ["default", [job_id], 201]),
        "redrive.CHUNKS": (redrive.CHUNKS, [job_id, 1]),
        "dead_letters.DEAD_LETTERS": (dead_letters.DEAD_LETTERS, ["default", None, None, None, None, 51]),
        "dead_letters.COUNTS": (dead_letters.COUNTS, ["default"]),
        "dead_letters.TO_DISCARD": (dead_letters.TO_DISCARD, ["default", None, None, None, now, 500]),
        "dead_letters.LOCK_JOBS": (dead_letters.LOCK_JOBS, ["default", [job_id]]),
        "dead_letters.OWNER": (dead_letters.OWNER, of_task),
        "webhook_log.LOG_OF_TENANT": (webhook_log.LOG_OF_TENANT, ["default", None, now, 500, "failed", 51]),
        "webhook_log.LOG_OF_JOB": (webhook_log.LOG_OF_JOB, ["default", None, now, 500, "failed", 51, job_id]),
        "webhook_endpoints.LOCK_ENDPOINTS": (webhook_endpoints.LOCK_ENDPOINTS, ["default"]),
        "webhook_endpoints.COUNT_ENDPOINTS": (webhook_endpoints.COUNT_ENDPOINTS, ["default"]),
        "webhook_endpoints.LIST_ENDPOINTS": (webhook_endpoints.LIST_ENDPOINTS, ["default"]),
        "webhook_endpoints.READ_ENDPOINT": (webhook_endpoints.READ_ENDPOINT, of_job),
        "webhook_endpoints.LOCK_ENDPOINT": (webhook_endpoints.LOCK_ENDPOINT, of_job),
        "webhook_endpoints.COUNT_SECRETS": (webhook_endpoints.COUNT_SECRETS, of_job),
        "webhook_tests.HOST_OF_ENDPOINT": (webhook_tests.HOST_OF_ENDPOINT, of_job),
        "webhook_tests.LOCK": (webhook_tests.LOCK, ["default"]),
        "webhook_tests.COUNT": (webhook_tests.COUNT, ["default", 3600.0]),
        "webhook_tests.READ": (webhook_tests.READ, ["default", job_id, 3600.0, 120.0]),
        "webhooks.ATTEMPTS": (webhooks.ATTEMPTS, of_job),
        "webhooks.NEWEST_EVENT": (webhooks.NEWEST_EVENT, of_task),
        "webhooks.DELIVERIES": (webhooks.DELIVERIES, [job_id, 1]),
        "webhooks.COUNT_DELIVERIES": (webhooks.COUNT_DELIVERIES, of_task),
        "erase.BLOBS": (erase.BLOBS, [job_id]),
        "work.TASKS": (work.TASKS, of_job),
        "transcript_edits.VERSIONS": (transcript_edits.VERSIONS, of_job),
        "transcript_edits.ONE_VERSION": (transcript_edits.ONE_VERSION, [*of_job, None]),
        "transcript_edits.LATEST": (transcript_edits.LATEST, of_task),
        "voices.LOCK": (voices.LOCK, ["default"]),
        "voices.COUNT": (voices.COUNT, ["default"]),
        "voices.HAS_JOB": (voices.HAS_JOB, [job_id, "default"]),
        "voices.LIST": (voices.LIST, ["default"]),
        "voices.READ": (voices.READ, of_job),
        "vocabulary.NEWEST": (vocabulary.NEWEST, ["default"]),
        "backlog.ENDED": (backlog.ENDED, ["default"]),
        "backlog.ENDED_BY_MINUTE": (backlog.ENDED_BY_MINUTE, ["default", 24]),
        "backlog.STARTED": (backlog.STARTED, [0.001]),
        "backlog.OLDEST": (backlog.OLDEST, [["default"]]),
        "wait_estimate.PACE": (wait_estimate.PACE, []),
        "wait_estimate.CHUNKS": (wait_estimate.CHUNKS, []),
        "wait_estimate.INTERACTIVE": (wait_estimate.INTERACTIVE, []),
        **{
            f"newest_jobs({status})": (queries.newest_jobs(status), ["default", status, after, 201])
            for status in (None, *JobStatus)
            for after in (None, job_id)
        },
    }


# QUEUED reads the queue; `QueueReader` does it the less often the longer it takes. SEARCH reads texts by their index,
# limited in time and in what it ranks.
AMORTIZED = {"full_text.SEARCH", "wait_estimate.QUEUED"}
JOB_ID = "01900000-0000-c350-8000-000000000000"  # number 50,000


def rows_read(node: dict[str, Any]) -> float:
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    scanned = own * node["Actual Loops"] if "Relation Name" in node else 0
    return float(scanned) + sum(rows_read(child) for child in node.get("Plans", []))


@pytest_asyncio.fixture
async def connection(ingest: Ingest) -> AsyncIterator[asyncpg.Connection]:
    """As the service's role, with a long queue."""
    owner = await asyncpg.connect(ingest.record_url)
    await owner.execute(QUEUE)
    await owner.execute(TASKS)
    await owner.execute("VACUUM ANALYZE jobs")
    await owner.execute("VACUUM ANALYZE tasks")
    await owner.close()
    service = await asyncpg.connect(ingest.settings.database_url.reveal())
    await service.execute("SELECT set_config('headrace.tenant', '*', false)")
    yield service
    await service.close()


def test_every_statement_that_reads_jobs_is_measured() -> None:
    measured = {statement for statement, _ in arguments(new_id()).values()}
    assert {name for name, statement in statements() if statement not in measured} == AMORTIZED


async def test_no_statement_reads_the_queue(connection: asyncpg.Connection) -> None:
    for tenant in ("*", "default"):
        await connection.execute(f"SELECT set_config('headrace.tenant', '{tenant}', false)")
        for mode in ("force_generic_plan", "force_custom_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            for name, (statement, values) in arguments(JOB_ID).items():
                explained = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
                (plan,) = msgspec.json.decode(explained)
                read = rows_read(plan["Plan"])
                assert read <= MOST_ROWS, f"{name} ({tenant}, {mode}) reads {read:.0f} rows"


async def test_positions_in_a_long_queue(ingest: Ingest, connection: asyncpg.Connection) -> None:
    ids = await connection.fetch("SELECT id FROM jobs WHERE tenant = 'default' ORDER BY id")
    for ahead in (0, 5, EXACT_JOBS - 1, 1000, 45_000, len(ids) - 1):
        _, job = await ingest.get(f"/v1/jobs/{ids[ahead]['id']}")
        own, others = ahead, min(ahead, JOBS // 10)
        expected = 1 + own + others
        assert job["queue_position"] == pytest.approx(expected, rel=0 if ahead < EXACT_JOBS else 0.1, abs=1)
    _, page = await ingest.get("/v1/jobs?limit=200&status=QUEUED")
    positions = [job["queue_position"] for job in page["jobs"]]
    assert positions == sorted(positions, reverse=True)
