"""Reads what a tenant used, by days of UTC."""

import datetime as dt

from ingest_service.database import Database
from ingest_service.http.errors import RefusedError
from ingest_service.limits.quotas import Quotas
from ingest_service.limits.read_standing import read_standing
from shared.api import DayOfUsage, QuotasInForce, Usage

DEFAULT_DAYS = 30
MOST_DAYS = 366

DAYS = """
    SELECT day, sum(uploads)::bigint AS uploads, sum(bytes)::bigint AS bytes, sum(audio_s) AS audio_s
    FROM tenant_usage WHERE tenant = $1 AND day BETWEEN $2 AND $3 GROUP BY day ORDER BY day
"""


async def read_usage(
    database: Database, defaults: Quotas, tenant: str, first: dt.date | None, last: dt.date | None
) -> Usage:
    """The days from one to another, both included, that saw any use. Raises RefusedError or OutageError."""
    first, last = span_of_days(first, last, dt.datetime.now(dt.UTC).date())
    async with database.connection() as connection:
        rows = await connection.fetch(DAYS, tenant, first, last)
        quotas = (await read_standing(connection, [tenant], defaults))[tenant].quotas
    days = (DayOfUsage(day=day, uploads=uploads, bytes=size, audio_seconds=audio) for day, uploads, size, audio in rows)
    return Usage(days=tuple(days), quotas=quotas_in_force(quotas))


def span_of_days(first: dt.date | None, last: dt.date | None, today: dt.date) -> tuple[dt.date, dt.date]:
    """The days that were asked for, the last 30 if none were; RefusedError `invalid_parameter`."""
    last = last or max(today, first or today)
    if first is None:
        first = last - min(dt.timedelta(days=DEFAULT_DAYS - 1), last - dt.date.min)
    if not dt.timedelta() <= last - first < dt.timedelta(days=MOST_DAYS):
        raise RefusedError("invalid_parameter", f"`from` and `to` are days of UTC, at most {MOST_DAYS} of them.")
    return first, last


def quotas_in_force(quotas: Quotas) -> QuotasInForce:
    """As the client sees them: null is no limit."""
    return QuotasInForce(
        bytes_a_day=quotas.bytes_a_day or None,
        audio_seconds_a_day=quotas.audio_seconds_a_day or None,
        jobs_queued=quotas.jobs_queued or None,
        uploads_at_once=quotas.uploads_at_once or None,
    )
