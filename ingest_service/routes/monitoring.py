"""`/health/live` and `/health/ready`, for supervisors and load balancers; `/metrics`, for Prometheus."""

import asyncio
import datetime as dt

from litestar import Response, get
from litestar.di import NamedDependency

from ingest_service.auth.caller import OPEN, Caller, Scope, needs
from ingest_service.openapi.document import ANY_ROUTE, METRICS, READY
from ingest_service.readiness import Readiness
from ingest_service.routes.usage import read_usage
from ingest_service.services import Services
from ingest_service.telemetry.metrics import METRIC_REGISTRY
from shared.schemas.api import DayOfUsage
from shared.telemetry.backlog import BacklogReader
from shared.telemetry.expose_metrics import MEDIA_TYPE, expose_metrics
from shared.telemetry.metric_registry import MetricRegistry


@get(
    "/health/live",
    responses=ANY_ROUTE,
    opt=OPEN,
    security=[{}],
    operation_id="getLiveness",
    tags=["monitoring"],
    summary="Is the process alive?",
    sync_to_thread=False,
)
def live() -> dict[str, str]:
    """Always 200: the process serves requests."""
    return {"status": "alive"}


@get(
    "/health/ready",
    responses=READY,
    opt=OPEN,
    security=[{}],
    operation_id="getReadiness",
    tags=["monitoring"],
    summary="Are uploads accepted?",
)
async def ready(services: NamedDependency[Services]) -> Response[Readiness]:
    """200 if uploads are accepted, otherwise 503. `away` names the unavailable dependencies.

    `processors` shows whether a processor has been seen in the last 15 s. It does not change the status: without a
    processor, uploads are accepted and wait. Its `status` is `unknown` while Redis is unavailable.
    """
    readiness = await services.check()
    return Response(readiness, status_code=200 if readiness.ready else 503)


@get(
    "/metrics",
    responses=METRICS,
    opt=needs(Scope.OBSERVE, or_operator=True),
    operation_id="getMetrics",
    tags=["monitoring"],
    summary="Get the metrics",
)
async def get_metrics(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> Response[str]:
    """Metrics as Prometheus text, summed over the processes that share a metrics folder.

    The backlog is read from the database; it is the same in every process. A key that is not the operator's gets the
    numbers of its tenant only.
    """
    if not caller.operates:
        return Response(await _of_tenant(services, caller.tenant), media_type=MEDIA_TYPE)
    return Response(await metrics_text(services.backlog), media_type=MEDIA_TYPE)


async def metrics_text(reader: BacklogReader) -> str:
    """Return the metrics of all processes that share the metrics folder, and the backlog."""
    backlog = await reader.text()
    numbers = await asyncio.to_thread(METRIC_REGISTRY.sums)  # reads files
    return expose_metrics(METRIC_REGISTRY.families, numbers) + backlog


async def _of_tenant(services: Services, tenant: str) -> str:
    today = dt.datetime.now(dt.UTC).date()
    usage = await read_usage(services.database, services.limits.quotas.defaults, tenant, today, today)
    return tenant_text(usage.days[0] if usage.days else DayOfUsage(day=today, uploads=0, bytes=0, audio_seconds=0.0))


def tenant_text(used: DayOfUsage) -> str:
    """Return Prometheus' text of what a tenant used on a day."""
    board = MetricRegistry()
    board.gauge("headrace_tenant_uploads_today", "Uploads of the tenant that became a job, this UTC day.").set(
        used.uploads
    )
    board.gauge("headrace_tenant_bytes_today", "Bytes of audio of the tenant, this UTC day.").set(used.bytes)
    board.gauge("headrace_tenant_audio_seconds_today", "Audio of the tenant that was decoded, this UTC day.").set(
        used.audio_seconds
    )
    return expose_metrics(board.families, board.numbers)


ROUTES = (live, ready, get_metrics)
