"""Reads what a tenant used, by days of UTC."""

import datetime as dt

from ingest_service.database import Database
from ingest_service.quotas.quotas import Quotas, read_standing
from shared.schemas.api import DayOfUsage, QuotasInForce, Usage

DEFAULT_DAYS = 30
MOST_DAYS = 366

DAYS = """
    SELECT day, sum(uploads)::bigint AS uploads, sum(bytes)::bigint AS bytes, sum(audio_s) AS audio_s
    FROM tenant_usage WHERE tenant = $1 AND day BETWEEN $2 AND $3 GROUP BY day ORDER BY day
"""


async def read_usage(
    database: Database, defaults: Quotas, tenant: str, first: dt.date | None, last: dt.date | None
) -> Usage:
    """The days from one to another, both included, that saw any use. Raises OutageError."""
    first, last = span_of_days(first, last, dt.datetime.now(dt.UTC).date())
    async with database.reading(tenant) as connection:
        rows = await connection.fetch(DAYS, tenant, first, last)
        quotas = (await read_standing(connection, [tenant], defaults))[tenant].quotas
    days = (DayOfUsage(day=day, uploads=uploads, bytes=size, audio_seconds=audio) for day, uploads, size, audio in rows)
    return Usage(days=tuple(days), quotas=quotas_in_force(quotas))


def span_of_days(first: dt.date | None, last: dt.date | None, today: dt.date) -> tuple[dt.date, dt.date]:
    """The days that were asked for, the last 30 if none were; of more than there may be, the last ones."""
    last = last or today
    most = DEFAULT_DAYS if first is None else MOST_DAYS
    earliest = last - min(dt.timedelta(days=most - 1), last - dt.date.min)
    return max(first or earliest, earliest), last


def quotas_in_force(quotas: Quotas) -> QuotasInForce:
    """As the client sees them: null is no limit."""
    return QuotasInForce(
        bytes_a_day=quotas.bytes_a_day or None,
        audio_seconds_a_day=quotas.audio_seconds_a_day or None,
        jobs_queued=quotas.jobs_queued or None,
        uploads_at_once=quotas.uploads_at_once or None,
    )
