"""Records jobs that are handed in at the same moment in one commit: what comes while one waits for the disk goes next.

With 64 clients an upload costs Postgres 95 µs of CPU so, and 550 µs with a commit of its own. Each waiter learns what
became of its own job; a row that the database refuses harms none of those beside it. Rings no bell.
"""

import asyncio
import contextvars
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from ingest_service.database import Database, begun
from ingest_service.errors import CommitUnknownError, LimitError, OutageError
from ingest_service.quotas.quotas import QuotaGate, Wanted
from ingest_service.telemetry.metrics import COMMIT_BATCH
from shared.failpoints import failpoint
from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.options import SubmitOptions
from shared.schemas.states import TaskKind
from shared.telemetry.logs import Log

log = Log(__name__)


# Commits a job, in a transaction of its own; tells what nobody can know from what did not happen.


Insert = Callable[[Any], Awaitable[None]]
AlsoCommit = Callable[[Any, UUID, str], Awaitable[None]]  # on the job's connection: its id and its fingerprint


async def commit_job(database: Database, tenant: str, job_id: UUID, insert: Insert) -> None:
    """Commit what `insert` writes. Raises OutageError, then nothing is recorded, or CommitUnknownError."""
    committing = False  # from then on it is open whether the job exists, until COMMIT is answered
    try:
        async with database.connection() as connection:
            async with begun(connection, tenant):
                await insert(connection)
                failpoint("submit.before_commit")
                committing = True
            failpoint("submit.after_commit")
    except asyncpg.UniqueViolationError as error:
        # the collector of orphans has it: this process stood still for so long
        raise OutageError("storage_unavailable", "The upload took too long to record; send it again.") from error
    except (OutageError, asyncio.CancelledError) as error:
        if not committing:
            raise
        log.warning("commit_unknown", job_id=str(job_id))
        raise CommitUnknownError("database_unavailable", "The database is away; try again later.") from error


# The rows of new jobs and their first tasks, and the statement that inserts many of them at once.

INSERT_JOBS_AND_FIRST_TASKS = """
    WITH job AS (
        INSERT INTO jobs (id, tenant, options, metadata, webhook_url, webhook_secret,
                          filename, container, source_bytes, source_sha256)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::json[], $4::json[], $5::text[], $6::text[],
                             $7::text[], $8::text[], $9::bigint[], $10::text[])
    ), counted AS (
        INSERT INTO tenant_usage AS used (tenant, day, shard, uploads, bytes)
        SELECT tenant, usage_day(), usage_shard(), count(*), sum(bytes)
        FROM unnest($2::text[], $9::bigint[]) AS job (tenant, bytes) GROUP BY tenant ORDER BY tenant
        ON CONFLICT (tenant, day, shard) DO UPDATE
            SET uploads = used.uploads + excluded.uploads, bytes = used.bytes + excluded.bytes
    )
    INSERT INTO tasks (id, job_id, kind, state, dispatch_no)
    SELECT task_id, job_id, 'prepare', 'dispatched', 1 FROM unnest($11::uuid[], $1::uuid[]) AS first (task_id, job_id)
"""


class JobRow(NamedTuple):
    """A job and its first task as they are recorded; the statement's parameters in their order."""

    job_id: UUID
    tenant: str
    options_json: str
    metadata_json: str | None
    webhook_url: str | None
    webhook_secret: str | None
    filename: str | None
    container: str
    source_bytes: int
    source_sha256: str | None  # of a direct upload: not known yet
    task_id: UUID


def columns_of(rows: Sequence[JobRow]) -> list[tuple[Any, ...]]:
    """The parameters of INSERT_JOBS_AND_FIRST_TASKS."""
    return list(zip(*rows, strict=True))


def job_row(  # noqa: PLR0913 - what is known of a source, named at each call
    tenant: str,
    job_id: UUID,
    options: SubmitOptions,
    *,
    container: str,
    source_bytes: int,
    source_sha256: str | None,
    filename: str | None = None,
) -> JobRow:
    """The row of a new job whose source is stored."""
    return JobRow(
        job_id=job_id,
        tenant=tenant,
        options_json=msgspec.json.encode(options.job_options()).decode(),
        metadata_json=None if options.metadata is None else msgspec.json.encode(options.metadata).decode(),
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
        filename=filename,
        container=container,
        source_bytes=source_bytes,
        source_sha256=source_sha256,
        task_id=new_id(),
    )


def first_task(row: JobRow) -> Dispatch:
    """The `prepare` task of a row, to ring the bell for."""
    cost = cost_s(TaskKind.PREPARE, source_bytes=row.source_bytes, container=row.container)
    return Dispatch(row.task_id, 1, TaskKind.PREPARE, row.tenant, cost)


# The fingerprint of a submission: what makes it the same as another, sent under the same `Idempotency-Key`.


def fingerprint(source: str, options: SubmitOptions) -> str:
    """Of the source, by its sha256 or its URL, and of all that was asked; not of its name, nor of how it was sent."""
    asked = msgspec.json.encode(options, order="sorted")
    return hashlib.sha256(source.encode() + b"\n" + asked).hexdigest()


MAX_BATCH = 100  # bounds what one broken statement can take with it
COMMITTERS = 2  # while one waits for the disk, the other sends; and one frozen backend does not stop all
QUEUE_TIMEOUT_S = 5.0  # whoever waited for so long without a turn is told that the database is away


class _Waiting:
    """A row whose upload waits; its outcome is None once it is committed, else what went wrong."""

    def __init__(self, row: JobRow) -> None:
        loop = asyncio.get_running_loop()
        self.row = row
        self.since_s = loop.time()
        self.outcome: asyncio.Future[Exception | None] = loop.create_future()

    def settle(self, outcome: Exception | None) -> None:
        if not self.outcome.done():  # the request may have been cancelled
            self.outcome.set_result(outcome)


class JobRecorder:
    """Takes rows one by one and commits them together. It has tasks of its own only while somebody waits."""

    def __init__(self, database: Database, quotas: QuotaGate | None = None) -> None:
        self.on_batch: Callable[[int], None] = COMMIT_BATCH.observe  # told of each commit how many jobs it held
        self._database = database
        self._quotas = quotas
        self._waiting: deque[_Waiting] = deque()
        self._at_work = 0
        self._committers: set[asyncio.Task[None]] = set()

    async def record(self, row: JobRow) -> None:
        """Return once the row is committed.

        Raises CommitUnknownError when nobody knows whether it is, and then it may be. After any other error it is not:
        OutageError, LimitError when it is over a quota, asyncpg.UniqueViolationError when there is such a job, or
        whatever else the database says of it.
        """
        waiting = _Waiting(row)
        self._waiting.append(waiting)
        self._start_committer()
        try:
            outcome = await waiting.outcome
        except asyncio.CancelledError as error:
            if waiting in self._waiting:  # nobody has begun with it
                self._waiting.remove(waiting)
                raise
            outcome = _unknown(error)
        if isinstance(outcome, CommitUnknownError):
            log.warning("commit_unknown", job_id=str(row.job_id), cause=type(outcome.__cause__).__name__)
        if outcome is not None:
            raise _own(outcome) from outcome.__cause__

    def _start_committer(self) -> None:
        if self._at_work < COMMITTERS:
            self._at_work += 1
            # an empty context: what it logs is not of the one request that happened to come first
            committer = asyncio.create_task(self._commit_all(), context=contextvars.Context())
            self._committers.add(committer)
            committer.add_done_callback(self._committers.discard)

    async def _commit_all(self) -> None:
        try:
            while batch := self._next_batch():
                await self._commit(batch)
        finally:
            self._at_work -= 1  # at once: whoever comes next must not count on this one

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        earliest_s = asyncio.get_running_loop().time() - QUEUE_TIMEOUT_S
        while self._waiting and len(batch) < MAX_BATCH:
            waiting = self._waiting.popleft()
            if waiting.since_s < earliest_s:
                waiting.settle(OutageError("database_unavailable", "The database is too slow; try again later."))
            else:
                batch.append(waiting)
        return batch

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        """Commit them together; when the database refuses one of them, each alone."""
        try:
            outcomes = await self._attempt([waiting.row for waiting in batch])
        except BaseException as error:  # the process is being stopped
            _settle(batch, [_unknown(error)] * len(batch))
            raise
        if len(batch) == 1 or not any(_is_own_fault(outcome) for outcome in outcomes):
            _settle(batch, outcomes)
            return
        log.warning("batch_refused", jobs=len(batch), error=type(outcomes[0]).__name__)
        for waiting in batch:
            await self._commit([waiting])

    async def _attempt(self, rows: Sequence[JobRow]) -> Sequence[Exception | None]:
        """Commit all rows that are within their tenants' quotas, or none; and say of each what went wrong.

        CommitUnknownError, OutageError, LimitError, or what the database says of one of them.
        """
        committing = False  # from then on it is open whether the jobs exist, until COMMIT is answered
        try:
            async with self._database.connection() as connection:
                async with begun(connection, *{row.tenant for row in rows}):
                    outcomes = await self._weigh(connection, rows)
                    within = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome is None]
                    if within:
                        await connection.execute(INSERT_JOBS_AND_FIRST_TASKS, *columns_of(within))
                    failpoint("submit.before_commit")
                    committing = True
                failpoint("submit.after_commit")
        except Exception as error:  # noqa: BLE001 - it is raised where the row came from
            refused = isinstance(error, asyncpg.PostgresError)  # the server's own word: rolled back
            return [_unknown(error) if committing and not refused else error] * len(rows)
        if within:
            self.on_batch(len(within))
        return outcomes

    async def _weigh(self, connection: Any, rows: Sequence[JobRow]) -> Sequence[LimitError | None]:
        if self._quotas is None:
            return [None] * len(rows)
        return await self._quotas.weigh(connection, [Wanted(row.tenant, row.source_bytes) for row in rows])


def _settle(batch: Sequence[_Waiting], outcomes: Sequence[Exception | None]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        waiting.settle(outcome)


def _is_own_fault(outcome: Exception | None) -> bool:
    """Whether the row, or one beside it, is what the database does not take."""
    return outcome is not None and not isinstance(outcome, OutageError | LimitError)


def _own(outcome: Exception) -> Exception:
    """An exception for one waiter alone, since raising one writes into it."""
    return type(outcome)(outcome.code, outcome.detail) if isinstance(outcome, OutageError) else outcome


def _unknown(cause: BaseException) -> CommitUnknownError:
    unknown = CommitUnknownError("database_unavailable", "The database is away; try again later.")
    unknown.__cause__ = cause
    return unknown
