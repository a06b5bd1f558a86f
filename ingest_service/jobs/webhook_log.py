"""The log of a tenant's webhooks: every delivery attempt of all its jobs, newest first.

A page looks through a bounded number of attempts. One that ends there has a cursor, even if it is empty.
"""

import base64
import binascii
import datetime as dt
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.jobs.pages import cut, page_of
from ingest_service.jobs.views import invalid_cursor
from ingest_service.jobs.webhook_targets import JOIN_ENDPOINT, SHOWN, shown
from shared.schemas.webhook_attempts import WebhookLog, WebhookLogEntry

CURSOR = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$"  # 8 bytes, at most MAX_ID
MAX_ID = (1 << 63) - 1
LOOKED_AT = 20_000  # attempts of a tenant that a page looks through: about 20 ms


class AttemptResult(StrEnum):
    """What came of an attempt."""

    DELIVERED = "delivered"  # the endpoint answered 2xx
    FAILED = "failed"  # another answer, or none
    RUNNING = "running"  # it is being made, or its worker was lost


# The filters read columns of the attempts only, so that those that do not match cost no look at their events.
_FILTERS = f"""
    a.tenant = $1 AND a.id < coalesce($2::bigint, {MAX_ID}) AND ($3::timestamptz IS NULL OR a.attempted_at >= $3)
    AND ($4::int IS NULL OR a.status = $4)
    AND ($5::text IS NULL OR $5 = CASE
        WHEN a.duration_ms IS NULL THEN 'running' WHEN a.status BETWEEN 200 AND 299 THEN 'delivered' ELSE 'failed' END)
"""
_COLUMNS = f"""
    a.id, {SHOWN}, e.job_id, e.type, e.body, a.attempted_at, a.duration_ms, a.status, a.error,
    a.answer, a.next_attempt_at
"""
_LOOKED_AT = f"SELECT * FROM webhook_attempts a WHERE a.tenant = $1 AND a.id < coalesce($2::bigint, {MAX_ID})"  # noqa: S608 - constants
_OF_TENANT = f"""
    SELECT {_COLUMNS}
    FROM (
        SELECT * FROM ({_LOOKED_AT} ORDER BY a.id DESC LIMIT {LOOKED_AT}) AS a
        WHERE {_FILTERS} ORDER BY a.id DESC LIMIT $6
    ) AS a
    JOIN webhook_events e ON e.id = a.event_id JOIN jobs j ON j.id = e.job_id {JOIN_ENDPOINT}
    ORDER BY a.id DESC LIMIT $6
"""  # noqa: S608 - constants
_OF_JOB = f"""
    SELECT {_COLUMNS}
    FROM jobs j JOIN webhook_events e ON e.job_id = $7 JOIN webhook_attempts a ON a.event_id = e.id {JOIN_ENDPOINT}
    WHERE j.tenant = $1 AND j.id = $7 AND {_FILTERS} ORDER BY a.id DESC LIMIT $6
"""  # noqa: S608 - constants
# The last attempt that a short page looked at, unless all before it are older than `since`: their order is that of
# their times, but for transactions that overlap.
_LAST = f"""
    SELECT id FROM ({_LOOKED_AT} ORDER BY a.id DESC OFFSET {LOOKED_AT - 1} LIMIT 1) AS last
    WHERE $3::timestamptz IS NULL OR attempted_at >= $3 - interval '1 hour'
"""  # noqa: S608 - constants
LOG_OF_TENANT = f"""
    WITH {page_of(_OF_TENANT, "id DESC")},
    bound AS (SELECT CASE WHEN (SELECT count(*) FROM found) < $6 THEN ({_LAST}) END AS looked_to)
    SELECT page.*, looked_to FROM bound LEFT JOIN page ON true ORDER BY id DESC
"""  # noqa: S608 - constants
LOG_OF_JOB = f"""
    WITH {page_of(_OF_JOB, "id DESC")} SELECT page.*, NULL::bigint AS looked_to FROM page ORDER BY id DESC
"""  # noqa: S608 - constants


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts to list; None: all."""

    result: AttemptResult | None = None
    status: int | None = None
    job_id: UUID | None = None
    since: dt.datetime | None = None


async def read_log(database: Database, tenant: str, wanted: LogFilter, limit: int, before: int | None) -> WebhookLog:
    """Return a page of attempts that are older than the attempt `before`. Raises OutageError."""
    arguments: list[Any] = [tenant, before, wanted.since, wanted.status, wanted.result, limit + 1]
    statement = LOG_OF_TENANT
    if wanted.job_id is not None:
        statement, arguments = LOG_OF_JOB, [*arguments, wanted.job_id]
    rows = await database.read(lambda connection: connection.fetch(statement, *arguments), tenant)
    page = cut([row for row in rows if row["id"] is not None], limit)
    position = page.rows[-1]["id"] if page.has_more else next((row["looked_to"] for row in rows), None)
    next_cursor = None if position is None else encode_attempt_cursor(position)
    return WebhookLog(attempts=tuple(map(_entry, page.rows)), next_cursor=next_cursor)


def _entry(row: Any) -> WebhookLogEntry:
    fields = shown(row)
    return WebhookLogEntry(
        job_id=str(fields.pop("job_id")),
        **{name: fields[name] for name in WebhookLogEntry.__struct_fields__ if name in fields},
    )


def encode_attempt_cursor(attempt_id: int) -> str:
    """Return the cursor after an attempt."""
    return base64.urlsafe_b64encode(attempt_id.to_bytes(8)).rstrip(b"=").decode()


def decode_attempt_cursor(cursor: str) -> int:
    """Return the attempt's id in a cursor. Raise RefusedError `invalid_parameter` for an invalid cursor."""
    try:
        attempt_id = int.from_bytes(base64.b64decode(cursor + "=", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise invalid_cursor() from None
    if attempt_id > MAX_ID or encode_attempt_cursor(attempt_id) != cursor:
        raise invalid_cursor()
    return attempt_id
