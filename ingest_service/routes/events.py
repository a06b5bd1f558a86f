"""`GET /v1/jobs/{job_id}/events` and `GET /v1/events`: the states of one job, or of all, as server-sent events."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.events import HEADERS, stream_events
from ingest_service.jobs.queries import parse_job_id
from ingest_service.jobs.tenant_events import stream_tenant_events
from ingest_service.jobs.views import JobKey
from ingest_service.openapi.results import EVENTS, TENANT_EVENTS
from ingest_service.services import Services

LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="The `id` of the last event that the client received")
]


@get(
    "/v1/jobs/{job_id:str}/events",
    responses=EVENTS,
    opt=needs(Scope.READ),
    operation_id="followJob",
    tags=["jobs"],
    summary="Follow a job",
)
async def get_events(
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """Server-sent events: the job's state, then each change. The stream ends when the job ends.

    With `Last-Event-ID`, the first event is left out if the client has received that state. 204 if it was the last one.
    """
    key = JobKey(caller.tenant, parse_job_id(job_id))
    state = await services.watcher.get(key)
    if state.is_over and state.event_id == last_event_id:
        return Response(None, status_code=204)  # an EventSource stops reconnecting
    services.limits.streams.require(caller.tenant, caller.key_id)
    until_invalid = partial(services.key_cache.watch.until_invalid, caller)
    events = stream_events(services.watcher, key, state, last_event_id, until_invalid)
    return Stream(_counted(events, services, caller), media_type="text/event-stream", headers=HEADERS)


@get(
    "/v1/events",
    responses=TENANT_EVENTS,
    opt=needs(Scope.READ),
    operation_id="followJobs",
    tags=["jobs"],
    summary="Follow all jobs",
)
async def get_tenant_events(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> Stream:
    """Server-sent events: the newest QUEUED and PROCESSING jobs, then what changes, at most four times a second.

    New jobs are events, too. An event `counts` has the number of jobs by status, now and then. An event `reload` says
    that more has changed than is sent: list the jobs again. The stream does not end; after it breaks, begin a new one.
    """
    services.limits.streams.require(caller.tenant, caller.key_id)
    until_invalid = partial(services.key_cache.watch.until_invalid, caller)
    events = stream_tenant_events(services.tenant_watcher.listening(caller.tenant), until_invalid)
    return Stream(_counted(events, services, caller), media_type="text/event-stream", headers=HEADERS)


async def _counted(events: AsyncGenerator[bytes], services: Services, caller: Caller) -> AsyncIterator[bytes]:
    """Count the stream while it is read. A response that never starts would otherwise stay counted."""
    with services.limits.streams.another(caller.tenant, caller.key_id):
        async with aclosing(events):
            async for each in events:
                yield each


ROUTES = (get_events, get_tenant_events)
