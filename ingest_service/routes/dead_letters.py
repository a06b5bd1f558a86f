"""`/v1/dead-letters`: list, count, redrive, discard what failed permanently, for the operator that of any tenant."""

from typing import Annotated

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs, tenant_for
from ingest_service.jobs.dead_letters import (
    count_dead_letters,
    discard_dead_letters,
    dismiss_dead_letters,
    list_dead_letters,
)
from ingest_service.jobs.redrive import redrive_job, redrive_jobs
from ingest_service.jobs.views import CURSOR_FORM, DEAD_LETTER_CURSOR, decode_dead_letter_cursor
from ingest_service.openapi.document import DISMISS, REDRIVE, WRONG_PARAMETER
from ingest_service.services import Services
from shared.connections.tenancy import TENANT_OR_ALL
from shared.schemas.api import JobAccepted, Links
from shared.schemas.dead_letters import DeadLetterCounts, DeadLetterList, Discarded, Redriven
from shared.schemas.failures import FailureCode

TENANT_FORM = "the name of a tenant, or `*` for all tenants; other tenants than the key's need the operator's key"
AnyTenant = Annotated[str | None, QueryParameter(pattern=TENANT_OR_ALL, description=TENANT_FORM)]


@get(
    "/v1/dead-letters",
    responses=WRONG_PARAMETER,
    opt=needs(Scope.OBSERVE, or_operator=True),
    operation_id="listDeadLetters",
    tags=["dead-letters"],
    summary="List dead letters",
)
async def get_dead_letters(  # noqa: PLR0913 - one for each query parameter
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    code: FromQuery[FailureCode | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, QueryParameter(pattern=DEAD_LETTER_CURSOR, description=CURSOR_FORM)] = None,
    tenant: AnyTenant = None,
) -> DeadLetterList:
    """Tasks that failed permanently, oldest first. `next_cursor` is the `cursor` of the next page; null on the last.

    `traceback` is empty for a key that is not the operator's.
    """
    after = None if cursor is None else decode_dead_letter_cursor(cursor)
    return await list_dead_letters(
        services.database, tenant_for(caller, tenant), code, limit, after, for_operator=caller.operates
    )


@get(
    "/v1/dead-letters/counts",
    responses=WRONG_PARAMETER,
    opt=needs(Scope.OBSERVE, or_operator=True),
    operation_id="countDeadLetters",
    tags=["dead-letters"],
    summary="Count dead letters",
)
async def get_counts(
    caller: NamedDependency[Caller], services: NamedDependency[Services], tenant: AnyTenant = None
) -> DeadLetterCounts:
    """Dead letters by failure code: how many, of how many jobs, since when, and the newest message of each code."""
    return await count_dead_letters(services.database, tenant_for(caller, tenant))


@post(
    "/v1/dead-letters/{job_id:str}/redrive",
    responses=REDRIVE,
    status_code=202,
    opt=needs(Scope.ADMIN, or_operator=True),
    operation_id="redriveJob",
    tags=["dead-letters"],
    summary="Redrive a job",
)
async def redrive_one(
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    tenant: AnyTenant = None,
) -> JobAccepted:
    """Start a FAILED job again; finished chunks are kept. If only its webhook failed, deliver the webhook again."""
    redriven = await redrive_job(
        services.database, services.notifier, services.limits.quotas, tenant_for(caller, tenant), job_id
    )
    return JobAccepted(job_id=job_id, status=redriven.status, links=Links.of(job_id))


@post(
    "/v1/dead-letters/redrive",
    responses=WRONG_PARAMETER,
    status_code=200,
    opt=needs(Scope.ADMIN, or_operator=True),
    operation_id="redriveAllJobs",
    tags=["dead-letters"],
    summary="Redrive all dead letters",
)
async def redrive_all(
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    code: FromQuery[FailureCode | None] = None,
    tenant: AnyTenant = None,
) -> Redriven:
    """Redrive all jobs of the tenant with dead letters, or those that failed with one `code`."""
    return Redriven(
        redriven=await redrive_jobs(
            services.database, services.notifier, services.limits.quotas, tenant_for(caller, tenant), code
        )
    )


@delete(
    "/v1/dead-letters",
    responses=WRONG_PARAMETER,
    status_code=200,
    opt=needs(Scope.ADMIN, or_operator=True),
    operation_id="discardDeadLetters",
    tags=["dead-letters"],
    summary="Discard all dead letters",
)
async def discard_all(
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    code: FromQuery[FailureCode | None] = None,
    tenant: AnyTenant = None,
) -> Discarded:
    """Remove all dead letters of the tenant from the list, or those of one `code`. The jobs do not change."""
    return Discarded(discarded=await discard_dead_letters(services.database, tenant_for(caller, tenant), code))


@delete(
    "/v1/dead-letters/{job_id:str}",
    responses=DISMISS,
    opt=needs(Scope.ADMIN, or_operator=True),
    operation_id="discardDeadLetter",
    tags=["dead-letters"],
    summary="Discard a dead letter",
)
async def discard(
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    tenant: AnyTenant = None,
) -> None:
    """Remove a job's dead letters from the list. The job does not change, and can no longer be redriven."""
    await dismiss_dead_letters(services.database, tenant_for(caller, tenant), job_id)


ROUTES = (get_dead_letters, get_counts, redrive_one, redrive_all, discard_all, discard)
