"""Find and count the jobs that a filter matches. Each request reads a bounded number of rows.

Jobs are read newest first from up to three indexes: those of queued, of running and of ended jobs. Filters of ended
jobs read the index alone, except for metadata, which is in the table. A page that ends at a bound has a cursor, even
if it is empty; counts that end at one are not complete.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from ingest_service.jobs.filters import JobFilter, conditions, id_range
from shared.schemas.api import JobCounts
from shared.schemas.states import JOB_TERMINAL, JobStatus

INDEX_ROWS = 50_000  # that a page reads from the index of ended jobs: about 100 ms
TABLE_ROWS = 20_000  # that it reads from the table: about 100 ms
COUNTED_ROWS = 200_000  # that a count reads from the index of ended jobs
COUNTED_ROWS_OF_ALL = 1_000_000  # of each index, without conditions: 30 ms for each 100,000


class Branch(NamedTuple):
    """The jobs that one index holds in the order of ids, and the rows of it that may be read."""

    name: str
    condition: str
    rows: int
    status: JobStatus | None = None  # of all of them; None: they differ


class Found(NamedTuple):
    """The ids of a page, newest first. `scanned_to`: jobs with lower ids were not read; None: all were."""

    ids: Sequence[UUID]
    scanned_to: UUID | None


def branches(wanted: JobFilter, index_rows: int) -> list[Branch]:
    """Return where to look for the jobs. An index has all columns of the conditions, or rows of the table are read."""
    if wanted.job_ids is not None:
        return [Branch("named", "erased_at IS NULL", len(wanted.job_ids) + 1)]
    statuses = set(wanted.status) or set(JobStatus)
    if wanted.code is not None:
        statuses &= {JobStatus.FAILED}  # others have no failure
    ended, has_metadata = statuses & JOB_TERMINAL, wanted.metadata_key is not None
    is_rare = len(ended) == 1 and (has_metadata or JobStatus.COMPLETED not in ended)
    apart = statuses if is_rare else statuses - JOB_TERMINAL
    is_together = bool(ended - apart)
    table_rows = TABLE_ROWS // max(1, len(apart) + is_together) if conditions(wanted) else index_rows
    found = [_branch_of(status, table_rows) for status in JobStatus if status in apart]
    if is_together:
        condition = "completed_at IS NOT NULL AND erased_at IS NULL"
        found.append(Branch("ended", condition, table_rows if has_metadata else index_rows))
    return found


def _branch_of(status: JobStatus, rows: int) -> Branch:
    """Return the branch of one status. Each has an index."""
    condition = f"status = '{status}'"
    if status is not JobStatus.QUEUED:
        condition += " AND status <> 'QUEUED' AND erased_at IS NULL"
    return Branch(status.lower(), condition, rows, status)


class _Selection:
    """The parts of a statement. Its parameters: the tenant, the upper and the lower id, and `values`."""

    def __init__(self, wanted: JobFilter) -> None:
        self.values: list[Any] = []
        found = conditions(wanted)
        tests = [one.sql.format(self.parameter(one.value)) for one in found]
        if wanted.status:
            tests.append(f"status = ANY ({self.parameter(list(wanted.status))}::text[])")
        self.test = " AND ".join(tests) or "true"
        self._columns = dict.fromkeys(one.column for one in found)
        self._range = "id < $2::uuid AND id >= $3::uuid"
        if wanted.job_ids is not None:
            self._range += f" AND id = ANY ({self.parameter(list(wanted.job_ids))}::uuid[])"

    def parameter(self, value: Any) -> str:
        """Add a value. Return its name in the statement."""
        self.values.append(value)
        return f"${3 + len(self.values)}"

    def rows_of(self, branch: Branch) -> str:
        """Return the SELECT of the rows to test. A status that all have is no column, which an index may lack."""
        status = f"'{branch.status}' AS status" if branch.status else "status"
        return f"{self._select(branch, ', '.join(['id', status, *self._columns]))} LIMIT {branch.rows}"

    def last_row_of(self, branch: Branch) -> str:
        """Return the SELECT of the id of the last of these rows: none if all rows were read."""
        return f"{self._select(branch, 'id')} OFFSET {branch.rows - 1} LIMIT 1"

    def _select(self, branch: Branch, columns: str) -> str:
        where = f"tenant = $1 AND {branch.condition} AND {self._range}"
        return f"SELECT {columns} FROM jobs WHERE {where} ORDER BY id DESC"  # noqa: S608 - constants


def find_statement(wanted: JobFilter, limit: int) -> tuple[str, list[Any]]:
    """Return the statement that finds a page's ids, and the values of its last parameters."""
    made, read = _Selection(wanted), branches(wanted, INDEX_ROWS)
    most = f"{made.parameter(limit)}::int"
    parts = [
        f"""{branch.name} AS MATERIALIZED (
            SELECT id FROM ({made.rows_of(branch)}) AS tested WHERE {made.test} ORDER BY id DESC LIMIT {most}
        )"""  # noqa: S608 - constants
        for branch in read
    ]
    ends = [
        f"CASE WHEN (SELECT count(*) FROM {branch.name}) < {most} THEN ({made.last_row_of(branch)}) END"  # noqa: S608 - constants
        for branch in read
    ]
    every = " UNION ALL ".join(f"SELECT id FROM {branch.name}" for branch in read)  # noqa: S608 - constants
    statement = f"""
        WITH {", ".join(parts)}, bound AS (SELECT greatest({", ".join(ends)}) AS scanned_to)
        SELECT scanned_to, ARRAY(
            SELECT id FROM ({every}) AS found WHERE scanned_to IS NULL OR id >= scanned_to ORDER BY id DESC LIMIT {most}
        ) AS ids FROM bound
    """  # noqa: S608 - constants
    return statement, made.values


async def find_jobs(connection: Any, tenant: str, wanted: JobFilter, limit: int, after: UUID | None) -> Found:
    """Return the newest jobs that match, after the job `after`, at most `limit`."""
    if not branches(wanted, INDEX_ROWS):
        return Found((), None)
    statement, values = find_statement(wanted, limit)
    row = await connection.fetchrow(statement, tenant, *id_range(wanted, after), *values)
    return Found(row["ids"], row["scanned_to"])


def count_statement(wanted: JobFilter) -> tuple[str, list[Any]]:
    """Return the statement that counts jobs by status, and its last values; empty if no job can match."""
    made = _Selection(wanted)
    parts = [
        f"""
        SELECT status, count(*) FILTER (WHERE {made.test}) AS jobs,
               sum(count(*)) OVER () >= {branch.rows} AS is_bounded
        FROM ({made.rows_of(branch)}) AS tested GROUP BY status
        """  # noqa: S608 - constants
        for branch in branches(wanted, COUNTED_ROWS if conditions(wanted) else COUNTED_ROWS_OF_ALL)
    ]
    return " UNION ALL ".join(parts), made.values


async def count_jobs(connection: Any, tenant: str, wanted: JobFilter) -> JobCounts:
    """Return the number of jobs that match, by status."""
    statement, values = count_statement(wanted)
    rows = await connection.fetch(statement, tenant, *id_range(wanted, None), *values) if statement else ()
    counts = dict.fromkeys(JobStatus, 0) | {JobStatus(row["status"]): row["jobs"] for row in rows}
    return JobCounts(
        counts=counts,
        total=sum(counts.values()),
        complete=not any(row["is_bounded"] for row in rows),
    )
