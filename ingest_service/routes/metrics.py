"""`/metrics`: what Prometheus asks for."""

import asyncio

from litestar import Response, get
from litestar.di import NamedDependency

from ingest_service.auth.caller import Scope, needs
from ingest_service.openapi.document import METRICS
from ingest_service.services import Services
from ingest_service.telemetry.metrics import BOARD
from shared.telemetry.expose_metrics import MEDIA_TYPE, expose_metrics


@get("/metrics", responses=METRICS, opt=needs(Scope.ADMIN), summary="Get the metrics")
async def get_metrics(services: NamedDependency[Services]) -> Response[str]:
    """Counters, gauges and histograms as Prometheus' text, summed over the processes that share a metrics folder.

    Then what waits and what runs, by the database; that is the same whichever process tells it.
    """
    backlog = await services.backlog.text()
    numbers = await asyncio.to_thread(BOARD.sums)  # reads files
    return Response(expose_metrics(BOARD.families, numbers) + backlog, media_type=MEDIA_TYPE)
