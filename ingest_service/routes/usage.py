"""`/v1/usage`: what the caller's tenant used, by days."""

import datetime as dt
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.openapi.document import WRONG_PARAMETER
from ingest_service.quotas.usage import read_usage
from ingest_service.services import Services
from shared.schemas.api import Usage

FirstDay = Annotated[dt.date | None, QueryParameter(name="from", description="The first day, of UTC")]
LastDay = Annotated[dt.date | None, QueryParameter(name="to", description="The last day, today if not given")]


@get("/v1/usage", responses=WRONG_PARAMETER, opt=needs(Scope.READ), summary="Get the usage")
async def get_usage(
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    first: FirstDay = None,
    last: LastDay = None,
) -> Usage:
    """Uploads, bytes and seconds of audio of each day of UTC that saw any: the last 30, or at most 366 that are named.

    Uploads and bytes count when the job is recorded; the bytes of a URL when it was fetched, seconds when decoded.
    """
    return await read_usage(services.database, services.limits.quotas.defaults, caller.tenant, first, last)
