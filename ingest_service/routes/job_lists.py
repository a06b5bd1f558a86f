"""`/v1/jobs`, `/v1/jobs/counts` and `/v1/jobs/bulk`: list, count and change the jobs that a filter matches."""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs, require
from ingest_service.errors import RefusedError
from ingest_service.jobs.bulk import BulkAction, BulkRequest, Change, change_jobs
from ingest_service.jobs.cancel import cancel_job
from ingest_service.jobs.erase import erase_job
from ingest_service.jobs.filters import Code, JobFilter, Speakers, Text
from ingest_service.jobs.queries import parse_job_id
from ingest_service.jobs.redrive import redrive_job
from ingest_service.jobs.views import CURSOR_FORM, JOB_CURSOR, decode_cursor
from ingest_service.openapi.document import BULK, TIME, WRONG_PARAMETER
from ingest_service.services import Services
from shared.allowed_values import why_refused
from shared.schemas.api import BulkResult, JobCounts, JobList
from shared.schemas.states import JobStatus

MAX_BULK_BYTES = 64 << 10
SCOPES = {
    BulkAction.CANCEL: Scope.SUBMIT,
    BulkAction.ERASE: Scope.SUBMIT,
    BulkAction.REDRIVE: Scope.ADMIN,
}

BOUNDS = {"pattern", "minLength", "maxLength", "minimum", "maximum"}


def _parameter(hint: Any, description: str) -> QueryParameter:
    """Return a parameter that is described with the bounds of its type, which JobFilter checks."""
    bounds = {name: value for name, value in msgspec.json.schema(hint).items() if name in BOUNDS}
    return QueryParameter(description=description, schema_extra=bounds)


Statuses = Annotated[list[JobStatus] | None, QueryParameter(description="May be repeated")]
After = Annotated[str | None, QueryParameter(description="The earliest time of submission", schema_extra=TIME)]
Before = Annotated[str | None, QueryParameter(description="Jobs were submitted before this time", schema_extra=TIME)]
Name = Annotated[Text | None, _parameter(Text, "A part of the file name, in upper or lower case")]
MetadataKey = Annotated[Text | None, _parameter(Text, "A member of `metadata`, at any depth")]
MetadataValue = Annotated[
    Text | None, _parameter(Text, "The value of that member: a string or a number. Needs `metadata_key`")
]
Fewest = Annotated[Speakers | None, _parameter(Speakers, "The least number of speakers")]
Most = Annotated[Speakers | None, _parameter(Speakers, "The largest number of speakers")]
WarningCode = Annotated[Code | None, _parameter(Code, "The code of a warning of an ended job")]
FailureCode = Annotated[Code | None, _parameter(Code, "The code of the failure of a FAILED job")]


@get(
    "/v1/jobs",
    responses=WRONG_PARAMETER,
    opt=needs(Scope.READ),
    operation_id="listJobs",
    tags=["jobs"],
    summary="List jobs",
)
async def list_jobs(  # noqa: PLR0913 - one for each query parameter
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    status: Statuses = None,
    created_after: After = None,
    created_before: Before = None,
    filename: Name = None,
    metadata_key: MetadataKey = None,
    metadata_value: MetadataValue = None,
    min_speakers: Fewest = None,
    max_speakers: Most = None,
    warning: WarningCode = None,
    code: FailureCode = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, QueryParameter(pattern=JOB_CURSOR, description=CURSOR_FORM)] = None,
) -> JobList:
    """Jobs that meet all conditions, newest first. `next_cursor` is the `cursor` of the next page; null on the last.

    A request looks through a bounded number of jobs. So a page may have fewer jobs than `limit`, or none, and a
    `next_cursor` with which the search goes on.
    """
    wanted = _filter(
        status=status,
        created_after=created_after,
        created_before=created_before,
        filename=filename,
        metadata_key=metadata_key,
        metadata_value=metadata_value,
        min_speakers=min_speakers,
        max_speakers=max_speakers,
        warning=warning,
        code=code,
    )
    after = None if cursor is None else decode_cursor(cursor)
    return await services.jobs.list(caller.tenant, wanted, limit, after)


@get(
    "/v1/jobs/counts",
    responses=WRONG_PARAMETER,
    opt=needs(Scope.READ),
    operation_id="countJobs",
    tags=["jobs"],
    summary="Count jobs",
)
async def count_jobs(  # noqa: PLR0913 - one for each query parameter
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    status: Statuses = None,
    created_after: After = None,
    created_before: Before = None,
    filename: Name = None,
    metadata_key: MetadataKey = None,
    metadata_value: MetadataValue = None,
    min_speakers: Fewest = None,
    max_speakers: Most = None,
    warning: WarningCode = None,
    code: FailureCode = None,
) -> JobCounts:
    """The number of jobs of each status that meet all conditions. `complete` is false if some were not looked at."""
    wanted = _filter(
        status=status,
        created_after=created_after,
        created_before=created_before,
        filename=filename,
        metadata_key=metadata_key,
        metadata_value=metadata_value,
        min_speakers=min_speakers,
        max_speakers=max_speakers,
        warning=warning,
        code=code,
    )
    return await services.jobs.count(caller.tenant, wanted)


def _filter(*, status: list[JobStatus] | None, **conditions: Any) -> JobFilter:
    """Return the filter of query parameters. The framework checks their types, but no times and no bounds.

    A status that is repeated counts once.
    """
    try:
        return msgspec.convert({"status": tuple(dict.fromkeys(status or ())), **conditions}, JobFilter)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid_parameter", f"{why_refused(error, JobFilter)}.") from error


@post(
    "/v1/jobs/bulk",
    responses=BULK,
    status_code=200,
    request_max_body_size=MAX_BULK_BYTES,
    opt=needs(Scope.READ),
    operation_id="changeJobs",
    tags=["jobs"],
    summary="Cancel, erase or redrive jobs",
)
async def change_many(
    data: JSONBody[BulkRequest], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> BulkResult:
    """Cancel, erase or redrive the jobs that `filter` matches, newest first, each as its own request would.

    Needs the scope of the action, too: `submit`, or `admin` to redrive. Without a `status`, `cancel` is for QUEUED and
    PROCESSING jobs, `redrive` for FAILED ones. `refused` lists what could not be changed. A request works for some
    seconds; with `more`, send it again with `cursor` set to `next_cursor`.
    """
    require(caller, SCOPES[data.action])
    after = None if data.cursor is None else decode_cursor(data.cursor)
    return await change_jobs(
        services.database, caller.tenant, data, after, _change(data.action, services, caller.tenant)
    )


def _change(action: BulkAction, services: Services, tenant: str) -> Change:
    """Return the change of one job, as the route of a single job makes it."""
    database, notifier = services.database, services.notifier

    async def cancel(job_id: str) -> None:
        await cancel_job(database, notifier, tenant, job_id)

    async def erase(job_id: str) -> None:
        await erase_job(database, notifier, services.blobs, tenant, job_id)
        await services.windows.of(tenant).delete(parse_job_id(job_id))

    async def redrive(job_id: str) -> None:
        await redrive_job(database, notifier, services.limits.quotas, tenant, job_id)

    return {BulkAction.CANCEL: cancel, BulkAction.ERASE: erase, BulkAction.REDRIVE: redrive}[action]


ROUTES = (list_jobs, count_jobs, change_many)
