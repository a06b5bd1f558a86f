"""Read jobs for clients: one job, or a page of the list. Every query names the tenant."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.filters import JobFilter
from ingest_service.jobs.find import Found, count_jobs, find_jobs
from ingest_service.jobs.pages import Page, cut, page_of
from ingest_service.jobs.views import encode_cursor, show_job
from ingest_service.jobs.wait_estimate import EXACT_JOBS, Queue, QueueReader
from shared.ids import parse_id
from shared.queue.fair_shares import INTERACTIVE_SHARE
from shared.schemas.api import JobCounts, JobList, JobView, ResultWrite
from shared.schemas.options import JobOptions, has_results
from shared.schemas.states import JobStatus

# Columns by name: after a migration adds one, Postgres would refuse statements that were prepared with a star.
JOB_COLUMNS = """
    id, tenant, status, stage, generation, metadata, filename, container, source_bytes, source_sha256, duration_s,
    sample_rate_hz, channels, tracks, chunk_count, interactive, queue, options, speakers, warnings, error_code,
    error_message, created_at, started_at, completed_at, erased_at
"""
_HAS_QUEUED = "EXISTS (SELECT 1 FROM page WHERE status = 'QUEUED')"
# The positions of jobs in the tenant's queues. Only the heads of its two classes are read, however many jobs wait.
_AHEAD = f"""
    interactive_head AS (
        SELECT id, queue, coalesce(source_bytes, 0) AS bytes FROM jobs
        WHERE status = 'QUEUED' AND interactive AND tenant = $1 AND {_HAS_QUEUED} ORDER BY id LIMIT {EXACT_JOBS}
    ), head AS (
        SELECT id, queue, coalesce(source_bytes, 0) AS bytes -- unknown for a URL that was not fetched
        FROM jobs WHERE status = 'QUEUED' AND tenant = $1 AND {_HAS_QUEUED} ORDER BY id LIMIT {EXACT_JOBS}
    ), ahead AS (
        SELECT id, row_number() OVER (PARTITION BY queue, class ORDER BY id) - 1 AS jobs_ahead,
               sum(bytes) OVER (PARTITION BY queue, class ORDER BY id) - bytes AS bytes_ahead
        FROM (
            SELECT 1 AS class, * FROM interactive_head
            UNION ALL SELECT 0, * FROM head WHERE id NOT IN (SELECT id FROM interactive_head)
        ) AS both_heads
    )
"""  # noqa: S608 - constants
# An attempt counts when it begins. Deliveries do not count.
_WORK = """
    CROSS JOIN LATERAL (
        SELECT max(attempts + (state IN ('running', 'done'))::int) AS attempts_begun,
               min(not_before) FILTER (WHERE state = 'waiting') AS next_attempt_at,
               avg(CASE WHEN state = 'done' THEN 1 ELSE progress END) FILTER (WHERE kind = 'chunk') AS chunk_progress,
               max(progress) FILTER (WHERE kind = 'prepare') AS prepare_progress
        FROM tasks WHERE job_id = {job_id} AND generation = page.generation AND kind <> 'deliver'
    ) AS work
"""
# The jobs of `page`, with facts of their tasks and of the queue.
WITH_TASKS_AND_QUEUE = f"""
    , {_AHEAD} SELECT page.*, ahead.jobs_ahead, ahead.bytes_ahead, work.*
    FROM page LEFT JOIN ahead USING (id) {_WORK.format(job_id="page.id")} ORDER BY page.id DESC
"""  # noqa: S608 - constants
# A job is read from its slice alone; its position, from the queues in all slices, only if it is queued.
ONE_JOB = f"""
    SELECT page.*, work.*
    FROM (SELECT {JOB_COLUMNS} FROM jobs WHERE tenant = $1 AND id = $2) AS page {_WORK.format(job_id="$2")}
"""  # noqa: S608 - constants
POSITION = f"WITH {_AHEAD} SELECT jobs_ahead, bytes_ahead FROM ahead WHERE id = $2".replace(_HAS_QUEUED, "true")  # noqa: S608 - constants


def newest_jobs(status: JobStatus | None) -> str:
    """Return the statement for a page of the list. Each condition has an index, so that no page reads other jobs."""
    if status is None:
        of_status = "$2::text IS NULL"
    elif status is JobStatus.QUEUED:
        of_status = "status = $2 AND status = 'QUEUED'"
    else:
        of_status = "status = $2 AND status <> 'QUEUED'"
    select = f"""
        SELECT {JOB_COLUMNS} FROM jobs
        WHERE tenant = $1 AND erased_at IS NULL AND {of_status} AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
    """  # noqa: S608 - constants
    return f"WITH {page_of(select, 'id DESC')} {WITH_TASKS_AND_QUEUE}"


_NAMED = f"""
    SELECT {JOB_COLUMNS} FROM jobs
    WHERE tenant = $1 AND erased_at IS NULL AND id = ANY ($2::uuid[]) ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - constants
NAMED_JOBS = f"WITH {page_of(_NAMED, 'id DESC')} {WITH_TASKS_AND_QUEUE}"


WRITES_OF_JOB = """
    SELECT format, shown AS to, state AS status, attempts, error, ended_at FROM result_writes
    WHERE tenant = $1 AND job_id = $2 ORDER BY format
"""

RESULTS_OF_JOB = """
    SELECT status, generation, text_generation, results_generation, container, options, error_message, erased_at,
           audio_erased_at, filename, peaks_generation
    FROM jobs WHERE tenant = $1 AND id = $2
"""


class JobResults(msgspec.Struct, frozen=True):
    """The facts of a job that serving its blobs needs."""

    job_id: UUID
    status: JobStatus
    text_generation: int  # the one that transcribed and denoised
    results_generation: int | None  # the one whose transcript is served; None: there is none
    container: str | None  # None: not fetched yet
    options: JobOptions
    error_message: str | None
    audio_is_erased: bool
    filename: str | None = None  # as the client sent it
    peaks_generation: int | None = None  # the one that stored the peaks; None: there are none yet


def parse_job_id(text: str) -> UUID:
    """Parse a job id in a path. Raise RefusedError `not_found` if it is not a UUID."""
    if (job_id := parse_id(text)) is None:
        raise no_such_job()
    return job_id


def no_such_job() -> RefusedError:
    """Return the refusal for a job that does not exist, or is another tenant's."""
    return RefusedError("not_found", "There is no job with this id. Use the `job_id` that the submission answered.")


def job_erased() -> RefusedError:
    """Return the refusal for a job of which only the tombstone exists."""
    return RefusedError("job_erased", "The job was erased. Submit the audio again.")


NO_POSITION: Mapping[str, Any] = {"jobs_ahead": None, "bytes_ahead": None}  # not queued, or not among the first


class JobReader:
    """Reads jobs. All methods raise RefusedError `not_found` or `job_erased`, and OutageError."""

    def __init__(
        self,
        database: Database,
        processes: int = 1,
        interactive_share: float = INTERACTIVE_SHARE,
        *,
        has_named_queues: bool = False,
    ) -> None:
        self._database = database
        self.queue = QueueReader(database, processes, interactive_share)
        self._has_named_queues = has_named_queues

    async def get(self, tenant: str, job_id: str) -> JobView:
        """Return the client's view of a job."""
        row = await self._row(ONE_JOB, tenant, job_id)
        is_queued = row["status"] == JobStatus.QUEUED
        position = await self._position(tenant, row["id"]) if is_queued else NO_POSITION
        queue = (await self._queues_for([row])).get(row["queue"])
        return show_job({**row, **position}, queue, await self._writes(tenant, row))

    async def get_results(self, tenant: str, job_id: str) -> JobResults:
        """Return where a job's blobs are, and whether they are ready."""
        row = await self._row(RESULTS_OF_JOB, tenant, job_id)
        options = msgspec.json.decode(row["options"], type=JobOptions)
        status = JobStatus(row["status"])
        return JobResults(
            parse_job_id(job_id),
            status,
            row["text_generation"] or row["generation"],
            row["generation"] if status is JobStatus.COMPLETED else row["results_generation"],
            row["container"],
            options,
            row["error_message"],
            audio_is_erased=row["audio_erased_at"] is not None,
            filename=row["filename"],
            peaks_generation=row["peaks_generation"],
        )

    async def list(self, tenant: str, wanted: JobFilter, limit: int, after: UUID | None) -> JobList:
        """Return a page of the jobs that match, newest first, starting after the job `after`."""
        rows, position = await self._database.read(
            lambda connection: _page(connection, tenant, wanted, limit, after), tenant
        )
        next_cursor = None if position is None else encode_cursor(position)
        queues = await self._queues_for(rows)
        return JobList(jobs=tuple(show_job(row, queues.get(row["queue"])) for row in rows), next_cursor=next_cursor)

    async def count(self, tenant: str, wanted: JobFilter) -> JobCounts:
        """Return the number of jobs that match, by status."""
        return await self._database.read(lambda connection: count_jobs(connection, tenant, wanted), tenant)

    async def _writes(self, tenant: str, row: Any) -> tuple[ResultWrite, ...]:
        """Read what is written to `results_to`, of a job that has it."""
        if not has_results(row["options"]):
            return ()
        found = await self._database.read(lambda connection: connection.fetch(WRITES_OF_JOB, tenant, row["id"]), tenant)
        return tuple(ResultWrite(**dict(write)) for write in found)

    async def _position(self, tenant: str, job_id: UUID) -> Mapping[str, Any]:
        row = await self._database.read(lambda connection: connection.fetchrow(POSITION, tenant, job_id), tenant)
        return row or NO_POSITION

    async def _queues_for(self, rows: Sequence[Any]) -> dict[str, Queue]:
        """Read the queues that the queued jobs are in."""
        names = {row["queue"] for row in rows if row["status"] == JobStatus.QUEUED}
        return {name: await self.queue.read(name if self._has_named_queues else None) for name in names}

    async def _row(self, query: str, tenant: str, job_id: str) -> Any:
        parsed = parse_job_id(job_id)
        row = await self._database.read(lambda connection: connection.fetchrow(query, tenant, parsed), tenant)
        if row is None:
            raise no_such_job()
        if row["erased_at"] is not None:
            raise job_erased()
        return row


async def _page(
    connection: Any, tenant: str, wanted: JobFilter, limit: int, after: UUID | None
) -> tuple[Sequence[Any], UUID | None]:
    """Return the rows of a page, and the id after which the next one begins; None: there is none."""
    if wanted.is_by_status_only and len(wanted.status) <= 1:
        status = next(iter(wanted.status), None)
        page = cut(await connection.fetch(newest_jobs(status), tenant, status, after, limit + 1), limit)
        return page.rows, page.rows[-1]["id"] if page.has_more else None
    found = await find_jobs(connection, tenant, wanted, limit + 1, after)
    page = cut(await connection.fetch(NAMED_JOBS, tenant, found.ids, limit + 1), limit)
    return page.rows, next_position(page, found, limit)


def next_position(page: Page, found: Found, limit: int) -> UUID | None:
    """Return the id after which the next page of a filter begins; None: there is none."""
    if page.has_more:
        return UUID(int=page.rows[-1]["id"].int)
    if len(found.ids) > limit:  # jobs were erased after they were found
        return found.ids[limit - 1]
    return found.scanned_to
