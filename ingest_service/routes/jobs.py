"""`GET /v1/jobs/{job_id}` and `GET /v1/jobs`: how jobs stand."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from ingest_service.cursors import decode_cursor
from ingest_service.describe_api import NOT_FOUND, WRONG_PARAMETER
from ingest_service.services import LOCAL_TENANT, Services
from shared.api import JobList, JobView
from shared.states import JobStatus


@get("/v1/jobs/{job_id:str}", responses=NOT_FOUND, summary="Get a job")
async def get_job(job_id: FromPath[str], services: NamedDependency[Services]) -> JobView:
    """How a job stands. `queue_position` counts from 1 while it is QUEUED."""
    return await services.jobs.get(LOCAL_TENANT, job_id)


@get("/v1/jobs", responses=WRONG_PARAMETER, summary="List jobs")
async def list_jobs(
    services: NamedDependency[Services],
    status: FromQuery[JobStatus | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: FromQuery[str | None] = None,
) -> JobList:
    """Jobs, newest first. `next_cursor` of one page is the `cursor` of the next; null on the last."""
    after = None if cursor is None else decode_cursor(cursor)
    return await services.jobs.list(LOCAL_TENANT, status, limit, after)
