"""Dead letters: dead tasks that are neither redriven nor dismissed. List, count and dismiss them."""

import datetime as dt
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.pages import cut, page_of
from ingest_service.jobs.queries import no_such_job, parse_job_id
from ingest_service.jobs.rows import LockedJob, locked_job
from ingest_service.jobs.views import DeadLetterPosition, encode_dead_letter_cursor
from shared.connections.tenancy import ALL_TENANTS
from shared.schemas.dead_letters import DeadLetterCounts, DeadLetterList, DeadLettersOfCode
from shared.schemas.failures import FailureCode, StoredFailure, dead_letter
from shared.telemetry.logs import Log

log = Log(__name__)

DISCARDED_AT_ONCE = 500  # in one transaction for each tenant

# The code of a failure is its first field: `{"code":"timeout",…`. It is taken from the text, because `->>` fails for a
# row with a NUL in its traceback, and from its beginning, because tracebacks are long.
CODE = """split_part(left(t.failure::text, 120), '"', 4)"""

_SELECT = f"""
    SELECT t.id, t.finished_at, t.job_id, t.generation, t.kind, t.ordinal, t.failure, t.attempts, t.first_failed_at,
           t.last_failed_at, j.tenant, j.options
    FROM tasks t JOIN jobs j ON j.id = t.job_id
    WHERE ($1::text = '*' OR j.tenant = $1) AND t.state = 'dead' AND t.dismissed_at IS NULL
        AND ($2::text IS NULL OR {CODE} = $2)
        AND ($3::timestamptz IS NULL OR (t.finished_at, t.id) > ($3, $4::uuid))
        AND ($5::timestamptz IS NULL OR t.finished_at <= $5)
    ORDER BY t.finished_at, t.id LIMIT $6
"""  # noqa: S608 - constants
DEAD_LETTERS = f"WITH {page_of(_SELECT, 'finished_at, id')} SELECT * FROM page ORDER BY finished_at, id"  # noqa: S608 - constants


async def list_dead_letters(  # noqa: PLR0913 - a query and its viewer
    database: Database,
    tenant: str,
    code: FailureCode | None,
    limit: int,
    after: DeadLetterPosition | None,
    *,
    for_operator: bool,
) -> DeadLetterList:
    """Return a page of dead letters of a tenant or of ALL_TENANTS, of one failure code or of all, after `after`."""
    page = cut(await fetch_dead_letters(database, tenant, code, limit + 1, after), limit)
    next_cursor = encode_dead_letter_cursor(position_of(page.rows[-1])) if page.has_more else None
    letters = tuple(dead_letter(row, for_operator=for_operator) for row in page.rows)
    return DeadLetterList(dead_letters=letters, next_cursor=next_cursor)


async def fetch_dead_letters(  # noqa: PLR0913, PLR0917 - the parameters of one query
    database: Database,
    tenant: str,
    code: FailureCode | None,
    limit: int,
    after: DeadLetterPosition | None,
    until: dt.datetime | None = None,
) -> list[Any]:
    """Return the rows of a page. `until` excludes tasks that died later."""
    died_at, task_id = after or (None, None)
    arguments = (tenant, code, died_at, task_id, until, limit)
    return list(await database.read(lambda connection: connection.fetch(DEAD_LETTERS, *arguments), tenant))


def position_of(row: Any) -> DeadLetterPosition:
    """Return a dead letter's position in the list."""
    return DeadLetterPosition(row["finished_at"], UUID(int=row["id"].int))


def failure_of(row: Any) -> StoredFailure:
    """Return the failure of a dead task."""
    return msgspec.json.decode(row["failure"], type=StoredFailure)


# Counts by code. Tracebacks are large: only the newest failure of each code is read as a whole.
COUNTS = f"""
    WITH dead AS (
        SELECT t.job_id, t.finished_at, j.tenant, {CODE} COLLATE "C" AS code
        FROM tasks t JOIN jobs j ON j.id = t.job_id
        WHERE ($1::text = '*' OR j.tenant = $1) AND t.state = 'dead' AND t.dismissed_at IS NULL
    ), counted AS (
        SELECT code, count(*) AS dead_letters, count(DISTINCT job_id) AS jobs, count(DISTINCT tenant) AS tenants,
               min(finished_at) AS oldest_at, max(finished_at) AS newest_at
        FROM dead GROUP BY code
    )
    SELECT counted.*, newest.failure FROM counted CROSS JOIN LATERAL (
        SELECT t.failure FROM tasks t JOIN jobs j ON j.id = t.job_id
        WHERE ($1::text = '*' OR j.tenant = $1) AND t.state = 'dead' AND t.dismissed_at IS NULL
            AND t.finished_at = counted.newest_at AND {CODE} = counted.code
        LIMIT 1
    ) AS newest
    ORDER BY dead_letters DESC, code
"""  # noqa: S608 - constants


async def count_dead_letters(database: Database, tenant: str) -> DeadLetterCounts:
    """Count the dead letters of a tenant or of ALL_TENANTS by failure code. Raises OutageError."""
    rows = await database.read(lambda connection: connection.fetch(COUNTS, tenant), tenant)
    counts = tuple(
        DeadLettersOfCode(
            code=row["code"],
            dead_letters=row["dead_letters"],
            jobs=row["jobs"],
            tenants=row["tenants"],
            oldest_at=row["oldest_at"],
            newest_at=row["newest_at"],
            last_message=failure_of(row).message,
        )
        for row in rows
    )
    return DeadLetterCounts(counts=counts, total=sum(one.dead_letters for one in counts))


# Dismiss dead letters: of one job, or all of a filter.

OWNER = "SELECT tenant FROM jobs WHERE id = $1"
DEAD_TASKS = """
    SELECT id, generation, kind, input, failure FROM tasks
    WHERE job_id = $1 AND state = 'dead' AND dismissed_at IS NULL ORDER BY id FOR UPDATE
"""
DISMISS = "UPDATE tasks SET dismissed_at = now() WHERE job_id = $1 AND id = ANY($2::uuid[])"
TO_DISCARD = f"""
    SELECT t.id, t.job_id, t.finished_at, j.tenant
    FROM tasks t JOIN jobs j ON j.id = t.job_id
    WHERE ($1::text = '*' OR j.tenant = $1) AND t.state = 'dead' AND t.dismissed_at IS NULL
        AND ($2::text IS NULL OR {CODE} = $2)
        AND ($3::timestamptz IS NULL OR (t.finished_at, t.id) > ($3, $4::uuid)) AND t.finished_at <= $5
    ORDER BY t.finished_at, t.id LIMIT $6
"""  # noqa: S608 - constants
LOCK_JOBS = "SELECT id FROM jobs WHERE tenant = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR UPDATE"
DISCARD = """
    UPDATE tasks SET dismissed_at = now() WHERE job_id = ANY($2::uuid[]) AND id IN (
        SELECT id FROM tasks WHERE id = ANY($1::uuid[]) AND job_id = ANY($2::uuid[])
            AND state = 'dead' AND dismissed_at IS NULL
        ORDER BY id FOR UPDATE)
    RETURNING id
"""


async def dismiss_dead_letters(database: Database, tenant: str, job_id: str) -> None:
    """Remove a job's dead letters from the list for good. Raise RefusedError `no_dead_letter`."""
    tenant = await owner_of(database, tenant, job_id)
    async with locked_job(database, tenant, job_id, even_erased=True) as locked:
        dead = await dead_tasks_of(locked, None)
        await locked.connection.execute(DISMISS, locked.job["id"], [task["id"] for task in dead])
    log.info("dead_letters_dismissed", job_id=job_id, tenant=tenant, dead_letters=len(dead))


async def discard_dead_letters(database: Database, tenant: str, code: FailureCode | None) -> int:
    """Remove all dead letters of a tenant or of ALL_TENANTS, of one code or of all. Return their number.

    Each batch is committed. Tasks that die meanwhile are left out, so that it ends. Raises OutageError.
    """
    async with database.reading(tenant) as connection:
        until = await connection.fetchval("SELECT now()")
    discarded, died_at, task_id = 0, None, None
    while True:
        async with database.reading(tenant) as connection:
            rows = await connection.fetch(TO_DISCARD, tenant, code, died_at, task_id, until, DISCARDED_AT_ONCE)
        if not rows:
            return discarded
        for owner, dead in groupby(sorted(rows, key=itemgetter("tenant")), key=itemgetter("tenant")):
            discarded += await _discard(database, owner, list(dead))
        died_at, task_id = position_of(rows[-1])


async def _discard(database: Database, tenant: str, dead: Sequence[Any]) -> int:
    """Discard dead letters of one tenant. Every transaction locks jobs by id, then tasks by id: no deadlocks."""
    async with database.transaction(tenant) as connection:
        jobs = [row["job_id"] for row in dead]
        await connection.execute(LOCK_JOBS, tenant, jobs)
        discarded = await connection.fetch(DISCARD, [row["id"] for row in dead], jobs)
    log.info("dead_letters_discarded", tenant=tenant, dead_letters=len(discarded))
    return len(discarded)


async def owner_of(database: Database, tenant: str, job_id: str) -> str:
    """Return the tenant of a job if `tenant` is ALL_TENANTS. The change is then made for that tenant only."""
    if tenant != ALL_TENANTS:
        return tenant
    async with database.reading(ALL_TENANTS) as connection:
        owner: str | None = await connection.fetchval(OWNER, parse_job_id(job_id))
    if owner is None:
        raise no_such_job()
    return owner


async def dead_tasks_of(locked: LockedJob, code: FailureCode | None) -> list[Any]:
    """Return the dead tasks of a locked job, of one code or of all. Raise RefusedError `no_dead_letter`."""
    rows = await locked.connection.fetch(DEAD_TASKS, locked.job["id"])
    dead = [row for row in rows if code is None or failure_of(row).code == code]
    if not dead:
        raise RefusedError("no_dead_letter", "The job has no dead letter.")
    return dead
