"""`/v1/jobs` and `/v1/jobs/{job_id}`: how jobs stand; cancelling and erasing them."""

from typing import Annotated

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.cancel import cancel_job
from ingest_service.jobs.erase import erase_job
from ingest_service.jobs.views import JOB_CURSOR, decode_cursor
from ingest_service.openapi.document import CANCEL, NOT_FOUND, ONE_JOB, WRONG_PARAMETER
from ingest_service.services import Services
from shared.schemas.api import JobList, JobView
from shared.schemas.states import JobStatus


@get("/v1/jobs/{job_id:str}", responses=ONE_JOB, opt=needs(Scope.READ), summary="Get a job")
async def get_job(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> JobView:
    """How a job stands. While it is QUEUED, `queue_position` (from 1) and `estimated_wait_s` say about how long yet."""
    return await services.jobs.get(caller.tenant, job_id)


@get("/v1/jobs", responses=WRONG_PARAMETER, opt=needs(Scope.READ), summary="List jobs")
async def list_jobs(
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    status: FromQuery[JobStatus | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, QueryParameter(pattern=JOB_CURSOR)] = None,
) -> JobList:
    """Jobs, newest first. `next_cursor` of one page is the `cursor` of the next; null on the last."""
    after = None if cursor is None else decode_cursor(cursor)
    return await services.jobs.list(caller.tenant, status, limit, after)


@post(
    "/v1/jobs/{job_id:str}/cancel", responses=CANCEL, status_code=200, opt=needs(Scope.SUBMIT), summary="Cancel a job"
)
async def cancel(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> JobView:
    """Stop the work within seconds. The job is CANCELLED at once, and its webhook says so."""
    await cancel_job(services.database, services.bell, caller.tenant, job_id)
    return await services.jobs.get(caller.tenant, job_id)


@delete("/v1/jobs/{job_id:str}", responses=NOT_FOUND, opt=needs(Scope.SUBMIT), summary="Erase a job")
async def erase(job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]) -> None:
    """Erase audio, results and whatever the client said of them. A job that has not ended is cancelled first."""
    await erase_job(services.database, services.bell, services.blobs, caller.tenant, job_id)
