"""`/health/live` and `/health/ready`, for supervisors and load balancers; `/metrics`, for Prometheus."""

import asyncio

from litestar import Response, get
from litestar.di import NamedDependency

from ingest_service.auth.caller import OPEN, Scope, needs
from ingest_service.openapi.document import METRICS, READY
from ingest_service.readiness import Readiness
from ingest_service.services import Services
from ingest_service.telemetry.metrics import METRIC_REGISTRY
from shared.telemetry.expose_metrics import MEDIA_TYPE, expose_metrics


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


@get("/metrics", responses=METRICS, opt=needs(Scope.ADMIN), summary="Get the metrics")
async def get_metrics(services: NamedDependency[Services]) -> Response[str]:
    """Metrics as Prometheus text, summed over the processes that share a metrics folder.

    The backlog is read from the database; it is the same in every process.
    """
    backlog = await services.backlog.text()
    numbers = await asyncio.to_thread(METRIC_REGISTRY.sums)  # reads files
    return Response(expose_metrics(METRIC_REGISTRY.families, numbers) + backlog, media_type=MEDIA_TYPE)


ROUTES = (live, ready, get_metrics)
