"""`/v1/usage`: the tenant's usage by day."""

import datetime as dt
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.openapi.document import WRONG_PARAMETER
from ingest_service.quotas.daily_usage import read_usage
from ingest_service.services import Services
from shared.schemas.api import Usage

FirstDay = Annotated[dt.date | None, QueryParameter(name="from", description="The first day, in UTC")]
LastDay = Annotated[dt.date | None, QueryParameter(name="to", description="The last day, in UTC; default: today")]


@get("/v1/usage", responses=WRONG_PARAMETER, opt=needs(Scope.READ), summary="Get the usage")
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
