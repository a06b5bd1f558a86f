"""Erases jobs and audio by the retention policy, and deletes the blobs of erased jobs once no worker can write another.

The ingest handles a client's DELETE. This module deletes what the ingest could not, or what a worker wrote after it.
"""

import asyncio
import datetime as dt
from collections.abc import Iterator, Sequence
from uuid import UUID

import asyncpg
import msgspec

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.blobs.erase_blobs import JOB_BLOBS, Left, Owned, delete_each, erase_blobs, job_blobs
from shared.job_changes import FORGET_EDITS, FORGET_TEXTS, erase_content
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

BATCH = 1000  # jobs: four keys each make four full requests to S3
EVERY_S, RUN_S = 5.0, 4.0  # a run ends after RUN_S: it is one transaction
START = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), UUID(int=0))
SHORT_SLICE_S = 2 * 24 * 3600.0  # attempts in slices as short as this are dropped with them, before they are deleted
SETTLED_AFTER_LEASES = 4  # by then a worker has detected that its lease is lost

# Each statement continues after the last job that it returned: one that cannot be erased does not keep the others.
OLD_JOBS = """
SELECT id, completed_at AS due_at, options FROM jobs
WHERE completed_at < now() - make_interval(secs => $1) AND erased_at IS NULL AND (completed_at, id) > ($3, $4)
ORDER BY completed_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
"""

OLD_AUDIO = """
SELECT id, completed_at AS due_at, generation, options ->> 'redact' IS NOT NULL AS is_redacted FROM jobs
WHERE completed_at < now() - make_interval(secs => $1) AND erased_at IS NULL AND audio_erased_at IS NULL
    AND (completed_at, id) > ($3, $4)
ORDER BY completed_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
"""

AUDIO_IS_ERASED = "UPDATE jobs SET audio_erased_at = now() WHERE id = ANY($1::uuid[])"

TO_SWEEP = f"""
SELECT id, erased_at AS due_at, {JOB_BLOBS} FROM jobs
WHERE erased_at < now() - make_interval(secs => $1) AND blobs_erased_at IS NULL AND (erased_at, id) > ($3, $4)
ORDER BY erased_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - our own text

# Webhooks that are not delivered yet keep their addresses and secrets until `settle` ends them.
BLOBS_ARE_ERASED = """
WITH open AS (
    SELECT DISTINCT job_id FROM tasks
    WHERE job_id = ANY($1::uuid[]) AND state IN ('dispatched', 'running', 'waiting')
)
UPDATE jobs SET blobs_erased_at = now(),
    webhook_url = CASE WHEN id IN (SELECT job_id FROM open) THEN webhook_url END,
    webhook_secret = CASE WHEN id IN (SELECT job_id FROM open) THEN webhook_secret END,
    webhooks = CASE WHEN id IN (SELECT job_id FROM open) THEN webhooks END
WHERE id = ANY($1::uuid[])
"""

# Texts about the attempts: an endpoint may have answered with what it received.
FORGET_ANSWERS = """
UPDATE webhook_attempts SET answer = NULL
WHERE answer IS NOT NULL AND event_id IN (SELECT id FROM webhook_events WHERE job_id = ANY($1::uuid[]))
"""
FORGET_FAILURES = """
UPDATE tasks SET failure = NULL
WHERE job_id = ANY($1::uuid[]) AND failure IS NOT NULL AND state IN ('done', 'dead', 'cancelled')
    AND (state <> 'dead' OR dismissed_at IS NOT NULL)
"""

# An ingest of an older version erases a job without its edits and texts.
FORGET = (FORGET_ANSWERS, FORGET_FAILURES, FORGET_EDITS, FORGET_TEXTS)

FORGET_ATTEMPTS = "DELETE FROM webhook_attempts WHERE attempted_at < now() - make_interval(secs => $1)"


def _audio_of(job: asyncpg.Record) -> Iterator[str]:
    return blob_keys.audio_of_job(job["id"], job["generation"], is_redacted=job["is_redacted"])


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long jobs, audio and webhook attempts are kept; 0: forever."""

    jobs_s: float
    audio_s: float
    webhook_log_s: float


class _Walk:
    """Walks through the jobs that a statement returns, batch by batch, and begins again at the end."""

    def __init__(self, due: str) -> None:
        self._due = due
        self._after = START

    async def next(self, connection: asyncpg.Connection, age_s: float) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await connection.fetch(self._due, age_s, BATCH, *self._after)
        self._after = (rows[-1]["due_at"], rows[-1]["id"]) if len(rows) == BATCH else START
        return rows


class Eraser:
    """`run_once` of the maintenance loop. Several workers may run it: a job that one has locked the others skip."""

    def __init__(self, blobs: BlobStore, retention: Retention, *, lease_s: float) -> None:
        self._blobs = blobs
        self._retention = retention
        self._settled_after_s = lease_s * SETTLED_AFTER_LEASES
        self._old_jobs, self._old_audio, self._to_sweep = map(_Walk, (OLD_JOBS, OLD_AUDIO, TO_SWEEP))
        self._refusals = Outages(log, "blobs_not_erased", "blobs_erased_again")
        self._until_s = 0.0  # in the loop's time

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Erase what is due, as far as the time of a run goes."""
        await connection.execute(FORGET_ATTEMPTS, self._retention.webhook_log_s + SHORT_SLICE_S)
        clock = asyncio.get_running_loop().time
        self._until_s = clock() + RUN_S
        while await self._batch_of_each(connection) and clock() < self._until_s:
            continue

    async def _batch_of_each(self, connection: asyncpg.Connection) -> bool:
        """Process one batch of each kind. Return whether there may be more of one."""
        erased = await self._erase_jobs(connection) if self._retention.jobs_s else 0
        silenced = await self._erase_audio(connection) if self._retention.audio_s else 0
        return max(erased, silenced, await self._sweep(connection)) == BATCH

    async def _erase_jobs(self, connection: asyncpg.Connection) -> int:
        """Erase old jobs as the ingest's DELETE does."""
        jobs = await self._old_jobs.next(connection, self._retention.jobs_s)
        if jobs:
            await erase_content(connection, {job["id"]: job["options"] for job in jobs})
            log.info("jobs_erased_by_age", jobs=len(jobs))
        return len(jobs)

    async def _erase_audio(self, connection: asyncpg.Connection) -> int:
        jobs = await self._old_audio.next(connection, self._retention.audio_s)
        keys = [Owned(key, job["id"]) for job in jobs for key in _audio_of(job)]
        left = await delete_each(self._blobs, keys, until_s=self._until_s)
        await self._conclude(connection, (AUDIO_IS_ERASED,), jobs, left)
        return len(jobs)

    async def _sweep(self, connection: asyncpg.Connection) -> int:
        jobs = await self._to_sweep.next(connection, self._settled_after_s)
        left = await erase_blobs(self._blobs, [job_blobs(job) for job in jobs], until_s=self._until_s)
        await self._conclude(connection, (*FORGET, BLOBS_ARE_ERASED), jobs, left)
        return len(jobs)

    async def _conclude(
        self, connection: asyncpg.Connection, statements: Sequence[str], jobs: Sequence[asyncpg.Record], left: Left
    ) -> None:
        """Record the jobs of which nothing is left. The others are erased in a later run."""
        if erased := [job["id"] for job in jobs if job["id"] not in left]:
            for statement in statements:
                await connection.execute(statement, erased)
        for job_id, error in left.items():
            self._refusals.failed(error, job_id=job_id)
        if erased and not left:
            self._refusals.worked()
