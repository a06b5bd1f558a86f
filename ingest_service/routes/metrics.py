"""`/metrics`: what Prometheus asks for."""

import asyncio

from litestar import Response, get

from ingest_service.api_document.describe_api import METRICS
from ingest_service.metrics.metrics import BOARD
from shared.metrics.expose_metrics import MEDIA_TYPE, expose_metrics


@get("/metrics", responses=METRICS, summary="Get the metrics")
async def get_metrics() -> Response[str]:
    """Counters, gauges and histograms as Prometheus' text, summed over the processes that share a metrics folder."""
    numbers = await asyncio.to_thread(BOARD.sums)  # reads files
    return Response(expose_metrics(BOARD.families, numbers), media_type=MEDIA_TYPE)
