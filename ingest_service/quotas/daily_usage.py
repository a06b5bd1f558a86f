"""Reads a tenant's usage by UTC day."""

import datetime as dt

from ingest_service.database import Database
from ingest_service.quotas.quotas import Quotas, read_usage_of
from shared.schemas.api import DayOfUsage, QuotasInForce, Usage

DEFAULT_DAYS = 30
MAX_DAYS = 366

DAYS = """
    SELECT day, sum(uploads)::bigint AS uploads, sum(bytes)::bigint AS bytes, sum(audio_s) AS audio_s
    FROM tenant_usage WHERE tenant = $1 AND day BETWEEN $2 AND $3 GROUP BY day ORDER BY day
"""


async def read_usage(
    database: Database, defaults: Quotas, tenant: str, first: dt.date | None, last: dt.date | None
) -> Usage:
    """Return the days from `first` to `last`, both included, that have usage. Raises OutageError."""
    first, last = span_of_days(first, last, dt.datetime.now(dt.UTC).date())
    async with database.reading(tenant) as connection:
        rows = await connection.fetch(DAYS, tenant, first, last)
        quotas = (await read_usage_of(connection, [tenant], defaults))[tenant].quotas
    days = (DayOfUsage(day=day, uploads=uploads, bytes=size, audio_seconds=audio) for day, uploads, size, audio in rows)
    return Usage(days=tuple(days), quotas=quotas_in_force(quotas))


def span_of_days(first: dt.date | None, last: dt.date | None, today: dt.date) -> tuple[dt.date, dt.date]:
    """Default to the last 30 days; limit a longer span to its last MAX_DAYS."""
    last = last or today
    most = DEFAULT_DAYS if first is None else MAX_DAYS
    earliest = last - min(dt.timedelta(days=most - 1), last - dt.date.min)
    return max(first or earliest, earliest), last


def quotas_in_force(quotas: Quotas) -> QuotasInForce:
    """The quotas as JSON: null means no limit."""
    return QuotasInForce(
        bytes_a_day=quotas.bytes_a_day or None,
        audio_seconds_a_day=quotas.audio_seconds_a_day or None,
        jobs_queued=quotas.jobs_queued or None,
        uploads_at_once=quotas.uploads_at_once or None,
    )
