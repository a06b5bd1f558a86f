"""`/v1/usage`: the tenant's usage by day."""

import datetime as dt
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.database import Database
from ingest_service.openapi.document import WRONG_PARAMETER
from ingest_service.quotas.quota_usage import Quotas, read_usage_of
from ingest_service.services import Services
from shared.schemas.api import DayOfUsage, QuotasInForce, Usage

DEFAULT_DAYS = 30
MAX_DAYS = 366

DAYS = """
    SELECT day, sum(uploads)::bigint AS uploads, sum(bytes)::bigint AS bytes, sum(audio_s) AS audio_s
    FROM tenant_usage WHERE tenant = $1 AND day BETWEEN $2 AND $3 GROUP BY day ORDER BY day
"""

FirstDay = Annotated[dt.date | None, QueryParameter(name="from", description="The first day, in UTC")]
LastDay = Annotated[dt.date | None, QueryParameter(name="to", description="The last day, in UTC; default: today")]


@get(
    "/v1/usage",
    responses=WRONG_PARAMETER,
    opt=needs(Scope.READ),
    operation_id="getUsage",
    tags=["usage"],
    summary="Get the usage",
)
async def get_usage(
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    first: FirstDay = None,
    last: LastDay = None,
) -> Usage:
    """Uploads, bytes and seconds of audio of each UTC day with usage: the last 30 days, or a range of at most 366.

    Uploads and bytes count when the job is committed, the bytes of a URL when it is fetched, seconds when decoded.
    """
    return await read_usage(services.database, services.limits.quotas.defaults, caller.tenant, first, last)


async def read_usage(
    database: Database, defaults: Quotas, tenant: str, first: dt.date | None, last: dt.date | None
) -> Usage:
    """Return the days from `first` to `last`, both included, that have usage. Raises OutageError."""
    first, last = span_of_days(first, last, dt.datetime.now(dt.UTC).date())

    async def days_and_quotas(connection: Any) -> tuple[Any, Quotas]:
        found = await connection.fetch(DAYS, tenant, first, last)
        return found, (await read_usage_of(connection, [tenant], defaults))[tenant].quotas

    rows, quotas = await database.read(days_and_quotas, tenant)
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
    return QuotasInForce(**{name: most or None for name, most in msgspec.structs.asdict(quotas).items()})


ROUTES = (get_usage,)
