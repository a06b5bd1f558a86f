"""`/v1/jobs/{job_id}`: read, cancel, diarize and erase a job."""

from typing import Any
from urllib.parse import parse_qsl

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.cancel import cancel_job
from ingest_service.jobs.diarize import diarize_job, read_speaker_options
from ingest_service.jobs.erase import erase_job
from ingest_service.jobs.queries import parse_job_id
from ingest_service.jobs.voices import no_voices
from ingest_service.openapi.document import CANCEL, DIARIZE, NOT_FOUND, ONE_JOB
from ingest_service.openapi.speakers import SpeakersBody
from ingest_service.openapi.uploads import Waiting
from ingest_service.routes.prefer import applied, finished_job, wanted_wait_s
from ingest_service.services import Services
from shared.schemas.api import JobAccepted, JobView, Links


@get(
    "/v1/jobs/{job_id:str}",
    operation_class=Waiting,
    responses=ONE_JOB,
    opt=needs(Scope.READ),
    operation_id="getJob",
    tags=["jobs"],
    summary="Get a job",
)
async def get_job(
    job_id: FromPath[str],
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[JobView]:
    """A job's state. While it is QUEUED, `queue_position` counts from 1 and `estimated_wait_s` estimates the wait.

    With `Prefer: wait=N`, the answer comes when the job is over, but at the latest after N seconds.
    """
    if wait_s := wanted_wait_s(request.scope["headers"]):
        job = await finished_job(services, caller, parse_job_id(job_id), wait_s, request.receive)
        if job is not None:
            return Response(job, headers=applied(wait_s))
    return Response(await services.jobs.get(caller.tenant, job_id))


@post(
    "/v1/jobs/{job_id:str}/cancel",
    responses=CANCEL,
    status_code=200,
    opt=needs(Scope.SUBMIT),
    operation_id="cancelJob",
    tags=["jobs"],
    summary="Cancel a job",
)
async def cancel(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> JobView:
    """Set the job to CANCELLED at once and send its webhook. Running work stops within seconds."""
    await cancel_job(services.database, services.notifier, caller.tenant, job_id)
    return await services.jobs.get(caller.tenant, job_id)


MAX_SPEAKERS_BODY_BYTES = 16 << 10


@post(
    "/v1/jobs/{job_id:str}/diarize",
    operation_class=SpeakersBody,
    responses=DIARIZE,
    status_code=202,
    request_max_body_size=MAX_SPEAKERS_BODY_BYTES,
    opt=needs(Scope.SUBMIT),
    operation_id="diarizeJob",
    tags=["jobs"],
    summary="Find the speakers again",
)
async def diarize(
    job_id: FromPath[str],
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> JobAccepted:
    """Name the speakers of a job that has a transcript, without transcribing again. The options may be in the query.

    The job is QUEUED again and sends its webhook at the end. Until then the transcript stays as it is.
    """
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    wanted = read_speaker_options(query, await request.body())
    if wanted.uses_voices and not services.has_voices:
        raise no_voices()
    quotas = services.limits.quotas
    status = await diarize_job(services.database, services.notifier, quotas, caller.tenant, job_id, wanted)
    return JobAccepted(job_id=job_id, status=status, links=Links.of(job_id))


@delete(
    "/v1/jobs/{job_id:str}",
    responses=NOT_FOUND,
    opt=needs(Scope.SUBMIT),
    operation_id="eraseJob",
    tags=["jobs"],
    summary="Erase a job",
)
async def erase(job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]) -> None:
    """Erase the audio, the results and the client's metadata. A job that has not ended is cancelled first."""
    await erase_job(services.database, services.notifier, services.blobs, caller.tenant, job_id)
    await services.windows.of(caller.tenant).delete(parse_job_id(job_id))


ROUTES = (get_job, cancel, diarize, erase)
