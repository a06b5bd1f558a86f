"""No statement about one job, task or attempt reads more than its slice; what reads all slices does so by an index."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.support.stack.statements import PACKAGES, statements_of

PARENTS = "SELECT name FROM slice_parents()"

# What may read all slices, and why. In old slices the indexes on states have no entries.
ALL_SLICES = {
    "tasks by an index on their states; then their jobs, each from its slice": {
        *("backlog.STARTED", "backlog.OLDEST", "dead_letters.COUNTS", "dead_letters.DEAD_LETTERS"),
        *("dead_letters.TO_DISCARD", "wait_estimate.CHUNKS", "wait_estimate.PACE", "backlog.BACKLOG"),
        *("dead_letters.FINGERPRINTS", "reconcile.DISPATCHED", "rescue.EXPIRED", "rescue.WAKE"),
        "leader.LOOK",
    },
    "jobs by an index on their states": {
        *("queries.POSITION", "quota_usage.USAGE", "quotas.COUNT_QUEUED", "wait_estimate.INTERACTIVE"),
        *("wait_estimate.QUEUED", "erase.OLD_AUDIO", "erase.OLD_JOBS", "erase.TO_SWEEP", "slices.FIRST_JOB"),
    },
    "jobs of a tenant by an index, newest first, up to a limit": {
        *(f"newest_jobs({status})" for status in ("None", "QUEUED", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED")),
        *("attach.ATTACH", "attach.MAY_ATTACH", "backlog.ENDED", "backlog.ENDED_BY_MINUTE", "queries.NAMED_JOBS"),
        *("tenant_watcher.TENANT_STATES", "views.TENANT_STATES"),
    },
    "named rows, of a list whose length Postgres does not know: it plans for the slices of each list": {
        *("dead_letters.DISCARD", "dead_letters.LOCK_JOBS", "events.STATES", "views.STATES", "erase.AUDIO_IS_ERASED"),
        *(
            "erase.BLOBS_ARE_ERASED",
            "erase.FORGET_FAILURES",
            "expire.FORGET_SOURCE_HEADERS",
            "job_changes.DISMISS_TASKS",
            "job_changes.ERASE_JOBS",
            "job_changes.EVENTS",
            "job_changes.REWRITE_EVENTS",
            "rescue.LOST_TOO_OFTEN",
            "rescue.RESCUE",
            "storage.WANTED",
            "watch.OVERDUE",
        ),
    },
    "delivery attempts by an index; they are kept for HEADRACE_RETENTION_WEBHOOK_LOG_S": {
        *("webhook_log.LOG_OF_JOB", "webhook_log.LOG_OF_TENANT", "webhooks.ATTEMPTS", "erase.FORGET_ATTEMPTS"),
        *("erase.FORGET_ANSWERS", "webhook_log.NAME_TENANTS", "settle.FORGET_ANSWERS"),
    },
}


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that prefers indexes although the tables are empty, and plans without the arguments' values."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("service", PACKAGES)
async def test_statements_read_the_slices_that_they_need(connection: asyncpg.Connection, service: str) -> None:
    parents = tuple(f"{row['name']}_" for row in await connection.fetch(PARENTS))
    statements = {".".join(name.split(".")[-2:]): each for name, each in statements_of(service).items()}
    wide, unindexed = set(), set()
    for name, statement in statements.items():
        scans = [scan for scan in await scans_of(connection, statement) if scan["Relation Name"].startswith(parents)]
        if scans and "._" not in name:  # not a part of a statement
            wide.add(name)
        if any(scan["Node Type"] == "Seq Scan" for scan in scans):
            unindexed.add(name)
    assert unindexed == set()
    assert wide == set().union(*ALL_SLICES.values()) & statements.keys()


async def scans_of(connection: asyncpg.Connection, statement: str) -> list[dict[str, Any]]:
    """Return the scans that remain when Postgres has removed the slices that the arguments exclude.

    The arguments are null, which no slice contains: a slice that remains is read whatever the arguments are.
    """
    await connection.execute(f"PREPARE it AS {statement}")
    try:
        types = await connection.fetchval("SELECT parameter_types FROM pg_prepared_statements WHERE name = 'it'")
        arguments = f"({', '.join(['NULL'] * len(types))})" if types else ""
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE it {arguments}")
    finally:
        await connection.execute("DEALLOCATE it")
    return [
        node for node in _nodes(json.loads(plan)[0]["Plan"]) if "Relation Name" in node and "Scan" in node["Node Type"]
    ]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
