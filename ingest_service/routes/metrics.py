"""`/metrics`, for Prometheus."""

import asyncio

from litestar import Response, get
from litestar.di import NamedDependency

from ingest_service.auth.caller import Scope, needs
from ingest_service.openapi.document import METRICS
from ingest_service.services import Services
from ingest_service.telemetry.metrics import METRIC_REGISTRY
from shared.telemetry.expose_metrics import MEDIA_TYPE, expose_metrics


@get("/metrics", responses=METRICS, opt=needs(Scope.ADMIN), summary="Get the metrics")
async def get_metrics(services: NamedDependency[Services]) -> Response[str]:
    """Metrics as Prometheus text, summed over the processes that share a metrics folder.

    The backlog is read from the database; it is the same in every process.
    """
    backlog = await services.backlog.text()
    numbers = await asyncio.to_thread(METRIC_REGISTRY.sums)  # reads files
    return Response(expose_metrics(METRIC_REGISTRY.families, numbers) + backlog, media_type=MEDIA_TYPE)
