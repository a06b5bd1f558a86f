"""Writes results when their jobs are completed: a few at a time, each with attempts of its own, beside everything else.

The database is the queue, as for the test events of webhooks: the statement that completes a job makes its results due.
The processor that completed it begins at once; what it has no room for, what failed, and what a lost process left comes
back when it is due. An attempt that is repeated writes the same content to the same name.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from processor_service.errors import TaskError
from processor_service.outbound.shares import Shares
from processor_service.results.put_result import put_result
from processor_service.results.render import AT_ONCE as RENDERS_AT_ONCE
from processor_service.results.render import rendered
from processor_service.settings import ProcessorSettings
from processor_service.tasks.retry import RetryAfter, RetryPolicy, decide
from processor_service.webhooks.send import shares_of
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.run_beside import end
from shared.schemas.failures import Failure, FailureCode
from shared.secret import Secret
from shared.telemetry.logs import Log

log = Log(__name__)

AT_ONCE = 8  # of a process
READ_AT_ONCE = 200
CLAIMED_S = 300.0  # longer than an attempt: after it, another process may begin

# Of each tenant the oldest come first, so that a slow target does not hide those of other tenants.
DUE = """
SELECT job_id, format, tenant, shown FROM (
    SELECT job_id, format, tenant, shown, due_at, row_number() OVER (PARTITION BY tenant ORDER BY due_at) AS turn
    FROM (SELECT * FROM result_writes WHERE due_at <= now() ORDER BY due_at LIMIT 10 * $1) AS oldest
) AS due ORDER BY turn, due_at LIMIT $1
"""
DUE_OF_JOB = "SELECT job_id, format, tenant, shown FROM result_writes WHERE job_id = $1 AND due_at <= now()"
CLAIM = """
WITH claimed AS (
    UPDATE result_writes SET attempts = attempts + 1, due_at = now() + make_interval(secs => $3)
    WHERE job_id = $1 AND format = $2 AND due_at <= now() RETURNING target, attempts
)
SELECT claimed.*, CASE WHEN status = 'COMPLETED' THEN generation ELSE results_generation END AS generation,
    erased_at IS NOT NULL AS is_erased
FROM claimed, jobs WHERE id = $1
"""
# `attempts` fences: a process that was frozen for longer than its claim changes nothing.
WRITTEN = """
UPDATE result_writes SET state = 'written', due_at = NULL, error = NULL, ended_at = now(),
    target = CASE WHEN target LIKE 's3://%' THEN target END  -- a new diarization is written there again
WHERE job_id = $1 AND format = $2 AND attempts = $3
"""
AGAIN = """
UPDATE result_writes SET due_at = now() + make_interval(secs => $4), error = $5
WHERE job_id = $1 AND format = $2 AND attempts = $3
"""
GIVEN_UP = """
UPDATE result_writes SET state = 'failed', due_at = NULL, error = $4, ended_at = now()
WHERE job_id = $1 AND format = $2 AND attempts = $3
"""


class ResultWriter:
    """`run_once` of a maintenance loop: starts writing what is due."""

    def __init__(
        self, pool: asyncpg.Pool, blobs: BlobStore, http: aiohttp.ClientSession, settings: ProcessorSettings
    ) -> None:
        self._pool = pool
        self._blobs = blobs
        self._http = http
        self._settings = settings
        self._policy = RetryPolicy(waits_s=settings.retry_waits_s, longest_retry_after_s=600)
        self._host_shares = shares_of(http).hosts
        self._tenant_shares = Shares(AT_ONCE)
        self._renders = asyncio.Semaphore(RENDERS_AT_ONCE)
        self._writing: dict[tuple[UUID, str], asyncio.Task[None]] = {}
        self._looks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls, pool: asyncpg.Pool, blobs: BlobStore, http: aiohttp.ClientSession, settings: ProcessorSettings
    ) -> AsyncIterator["ResultWriter"]:
        """Stop writing at the end of the block: another process does what is left."""
        writer = cls(pool, blobs, http, settings)
        try:
            yield writer
        finally:
            await end([*writer._looks, *writer._writing.values()])

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Start what fits into the shares. The rest waits for the next run, here or in another processor."""
        self._start_all(await connection.fetch(DUE, READ_AT_ONCE))

    def begin(self, job_id: UUID) -> None:
        """Start the writes of a job that this process has completed."""
        look = asyncio.create_task(self._begin(job_id))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    async def settled(self) -> None:
        """Wait until all that was started has ended."""
        while left := [*self._looks, *self._writing.values()]:
            await asyncio.wait(left)

    async def _begin(self, job_id: UUID) -> None:
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # the loop finds them
            self._start_all(await self._pool.fetch(DUE_OF_JOB, job_id))

    def _start_all(self, rows: Sequence[Any]) -> None:
        for row in rows:
            if len(self._writing) >= AT_ONCE:
                return
            if (row["job_id"], row["format"]) not in self._writing and self._has_room(row):
                self._start(row)

    def _has_room(self, row: Any) -> bool:
        return not self._tenant_shares.wait_s(row["tenant"]) and not self._host_shares.wait_s(row["shown"])

    def _start(self, row: Any) -> None:
        counted = contextlib.ExitStack()  # from now on, so that the next row is not started beyond a share
        counted.enter_context(self._tenant_shares.counted(row["tenant"]))
        counted.enter_context(self._host_shares.counted(row["shown"]))
        key = row["job_id"], row["format"]
        writing = self._writing[key] = asyncio.create_task(self._write(row, counted))
        writing.add_done_callback(lambda _: self._writing.pop(key, None))

    async def _write(self, row: Any, counted: contextlib.ExitStack) -> None:
        with counted:
            try:
                await self._attempt(row)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:  # due again after the claim
                log.warning("result_not_recorded", job_id=row["job_id"], error=type(error).__name__)

    async def _attempt(self, row: Any) -> None:
        key = row["job_id"], row["format"]
        claimed = await self._pool.fetchrow(CLAIM, *key, CLAIMED_S)
        if claimed is None:
            return
        failpoint("results.before_put")
        failure = await self._sent(row, claimed)
        failpoint("results.after_put")
        await self._record(row, claimed["attempts"], failure)

    async def _sent(self, row: Any, claimed: Any) -> Failure | None:
        """Render and send. Return the failure, if any."""
        if claimed["is_erased"] or claimed["generation"] is None or claimed["target"] is None:
            return _failure("The job has no transcript any more.")
        try:
            async with asyncio.timeout(CLAIMED_S - 30):
                stored = await self._blobs.get(blob_keys.transcript(row["job_id"], claimed["generation"]))
                data = await rendered(stored, row["format"], row["job_id"], self._renders)
                target = Secret(claimed["target"])
                return await put_result(self._http, self._settings, row["tenant"], target, row["format"], data)
        except BlobNotFoundError:
            return _failure("The transcript is no longer stored.")
        except (BlobStoreError, TaskError, TimeoutError):
            return _failure("The result could not be read or rendered.", transient=True)
        except Exception as error:  # noqa: BLE001 - a defect must not end the process's other writes
            log.error("result_defect", job_id=row["job_id"], format=row["format"], error=type(error).__name__)
            return _failure("The result could not be rendered.")

    async def _record(self, row: Any, attempts: int, failure: Failure | None) -> None:
        key = row["job_id"], row["format"], attempts
        facts = {"job_id": row["job_id"], "tenant": row["tenant"], "format": row["format"], "to": row["shown"]}
        if failure is None:
            await self._pool.execute(WRITTEN, *key)
            log.info("result_written", **facts, attempts=attempts)
            return
        decision = decide(failure, failed_attempts=attempts, policy=self._policy)
        if isinstance(decision, RetryAfter):
            await self._pool.execute(AGAIN, *key, decision.wait_s, failure.message)
        else:
            await self._pool.execute(GIVEN_UP, *key, failure.message)
        log.warning("result_not_written", **facts, attempts=attempts, code=failure.code, transient=failure.transient)


def _failure(message: str, *, transient: bool = False) -> Failure:
    code = FailureCode.STORAGE_UNAVAILABLE if transient else FailureCode.SOURCE_MISSING
    return Failure(code=code, message=message, transient=transient)
