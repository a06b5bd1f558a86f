"""Cancel, erase or redrive all jobs that a filter matches: one after the other, each as its own request would.

A request works for a bounded time. What it does not reach, the next request with its `next_cursor` does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.filters import JobFilter
from ingest_service.jobs.find import Found, find_jobs
from ingest_service.jobs.views import JOB_CURSOR, encode_cursor
from shared.schemas.api import BulkResult, RefusedJob
from shared.schemas.states import JobStatus
from shared.telemetry.logs import Log

log = Log(__name__)

WORK_S = 5.0  # after which a request begins no other job
MOST_JOBS = 1000  # that a request changes

Change = Callable[[str], Awaitable[object]]  # gets the job's id; raises RefusedError


class BulkAction(StrEnum):
    """What to do with the jobs."""

    CANCEL = "cancel"
    ERASE = "erase"
    REDRIVE = "redrive"


# The jobs that an action is for, where the filter names no status and no job. Others would only be refused.
STATUSES = {
    BulkAction.CANCEL: (JobStatus.QUEUED, JobStatus.PROCESSING),
    BulkAction.ERASE: (),
    BulkAction.REDRIVE: (JobStatus.FAILED,),
}


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/jobs/bulk`."""

    action: BulkAction
    filter: JobFilter
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_JOBS)] = MOST_JOBS
    cursor: Annotated[str, msgspec.Meta(pattern=JOB_CURSOR)] | None = None


def jobs_of(request: BulkRequest) -> JobFilter:
    """Return the filter of a request, with the statuses that its action is for."""
    if request.filter.status or request.filter.job_ids is not None:
        return request.filter
    return msgspec.structs.replace(request.filter, status=STATUSES[request.action])


async def change_jobs(
    database: Database, tenant: str, request: BulkRequest, after: UUID | None, change: Change
) -> BulkResult:
    """Change the newest jobs that match, after the job `after`. Raise OutageError: what was changed stays changed."""
    async with database.reading(tenant) as connection:
        found = await find_jobs(connection, tenant, jobs_of(request), request.limit + 1, after)
    wanted = found.ids[: request.limit]
    refused, done = await _change_each(wanted, change)
    position = _next_position(found, done)
    log.info("jobs_changed", action=request.action, tenant=tenant, matched=done, refused=len(refused))
    return BulkResult(
        matched=done,
        changed=done - len(refused),
        refused=tuple(refused),
        more=position is not None,
        next_cursor=None if position is None else encode_cursor(position),
    )


async def _change_each(job_ids: Sequence[UUID], change: Change) -> tuple[list[RefusedJob], int]:
    """Return which jobs were refused, and how many were reached in time."""
    clock = asyncio.get_running_loop().time
    until_s = clock() + WORK_S
    refused: list[RefusedJob] = []
    for number, job_id in enumerate(job_ids):
        if number and clock() >= until_s:  # one is always reached, so that the cursor moves on
            return refused, number
        try:
            await change(str(job_id))
        except RefusedError as refusal:
            refused.append(RefusedJob(job_id=str(job_id), code=refusal.code))
    return refused, len(job_ids)


def _next_position(found: Found, done: int) -> UUID | None:
    """Return the job after which the next request begins; None: there is none. One job is always reached."""
    return found.ids[done - 1] if done < len(found.ids) else found.scanned_to
