"""Reads the dead letters: tasks that are dead and neither redriven nor discarded, oldest first."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.jobs.cursors import DeadLetterPosition, encode_dead_letter_cursor
from shared.schemas.api import DeadLetterList
from shared.schemas.failures import FailureCode, StoredFailure, dead_letter

# The code is compared as text: `->>` refuses a row whole when there is a NUL in its traceback.
DEAD_LETTERS = """
    SELECT t.id, t.finished_at, t.job_id, t.generation, t.kind, t.ordinal, t.failure, t.attempts, t.first_failed_at,
           t.last_failed_at, j.tenant, j.options
    FROM tasks t JOIN jobs j ON j.id = t.job_id
    WHERE j.tenant = $1 AND t.state = 'dead' AND t.dismissed_at IS NULL
        AND ($2::text IS NULL OR t.failure::text ~ ('^\\s*{\\s*"code"\\s*:\\s*"' || $2 || '"'))
        AND ($3::timestamptz IS NULL OR (t.finished_at, t.id) > ($3, $4::uuid))
        AND ($5::timestamptz IS NULL OR t.finished_at <= $5)
    ORDER BY t.finished_at, t.id LIMIT $6
"""


async def list_dead_letters(
    database: Database, tenant: str, code: FailureCode | None, limit: int, after: DeadLetterPosition | None
) -> DeadLetterList:
    """A page of dead letters, of one failure code or of all, those behind `after` only."""
    rows = await fetch_dead_letters(database, tenant, code, limit + 1, after)
    next_cursor = encode_dead_letter_cursor(place_of(rows[limit - 1])) if len(rows) > limit else None
    return DeadLetterList(dead_letters=tuple(dead_letter(row) for row in rows[:limit]), next_cursor=next_cursor)


async def fetch_dead_letters(  # noqa: PLR0913, PLR0917 - the parameters of one query
    database: Database,
    tenant: str,
    code: FailureCode | None,
    limit: int,
    after: DeadLetterPosition | None,
    until: dt.datetime | None = None,
) -> list[Any]:
    """The rows of a page; `until` leaves out what died later."""
    died_at, task_id = after or (None, None)
    async with database.reading(tenant) as connection:
        return list(await connection.fetch(DEAD_LETTERS, tenant, code, died_at, task_id, until, limit))


def place_of(row: Any) -> DeadLetterPosition:
    """Where a dead letter stands in the list."""
    return DeadLetterPosition(row["finished_at"], UUID(int=row["id"].int))


def failure_of(row: Any) -> StoredFailure:
    """What a task died of."""
    return msgspec.json.decode(row["failure"], type=StoredFailure)
