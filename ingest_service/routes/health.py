"""`/health/live` and `/health/ready`: for whoever restarts processes and balances load."""

from litestar import Response, get
from litestar.di import NamedDependency

from ingest_service.auth.caller import OPEN
from ingest_service.openapi.document import READY
from ingest_service.server.readiness import Readiness
from ingest_service.services import Services


@get("/health/live", opt=OPEN, security=[{}], summary="Is the process alive?", sync_to_thread=False)
def live() -> dict[str, str]:
    """Always 200: the process serves requests."""
    return {"status": "alive"}


@get("/health/ready", responses=READY, opt=OPEN, security=[{}], summary="Are uploads taken?")
async def ready(services: NamedDependency[Services]) -> Response[Readiness]:
    """200 while uploads can be taken, else 503; `away` names what does not answer.

    `processors` says whether a processor has been seen in the last 15 s, and never changes the status: without one,
    uploads are taken and wait. Its `status` is `unknown` while Redis does not answer.
    """
    readiness = await services.check()
    return Response(readiness, status_code=200 if readiness.ready else 503)
