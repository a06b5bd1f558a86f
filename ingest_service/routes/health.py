"""`/health/live` and `/health/ready`, for supervisors and load balancers."""

from litestar import Response, get
from litestar.di import NamedDependency

from ingest_service.auth.caller import OPEN
from ingest_service.openapi.document import READY
from ingest_service.readiness import Readiness
from ingest_service.services import Services


@get("/health/live", opt=OPEN, security=[{}], summary="Is the process alive?", sync_to_thread=False)
def live() -> dict[str, str]:
    """Always 200: the process serves requests."""
    return {"status": "alive"}


@get("/health/ready", responses=READY, opt=OPEN, security=[{}], summary="Are uploads accepted?")
async def ready(services: NamedDependency[Services]) -> Response[Readiness]:
    """200 if uploads are accepted, otherwise 503. `away` names the unavailable dependencies.

    `processors` shows whether a processor has been seen in the last 15 s. It does not change the status: without a
    processor, uploads are accepted and wait. Its `status` is `unknown` while Redis is unavailable.
    """
    readiness = await services.check()
    return Response(readiness, status_code=200 if readiness.ready else 503)
