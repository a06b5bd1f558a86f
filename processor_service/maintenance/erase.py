"""Erases jobs and audio by the retention policy, and deletes the blobs of erased jobs once no worker can write another.

The ingest handles a client's DELETE. This module deletes what the ingest could not, or what a worker wrote after it.
"""

import asyncpg
import msgspec

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.job_changes import erase_content
from shared.telemetry.logs import Log

log = Log(__name__)

BATCH = 100
SETTLED_AFTER_LEASES = 4  # by then a worker has detected that its lease is lost

OLD_JOBS = """
SELECT id, options FROM jobs WHERE completed_at < now() - make_interval(secs => $1) AND erased_at IS NULL
ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""

OLD_AUDIO = """
SELECT id, generation FROM jobs
WHERE completed_at < now() - make_interval(secs => $1) AND erased_at IS NULL AND audio_erased_at IS NULL
ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""

AUDIO_IS_ERASED = "UPDATE jobs SET audio_erased_at = now() WHERE id = ANY($1::uuid[])"

TO_SWEEP = """
SELECT id FROM jobs
WHERE erased_at < now() - make_interval(secs => $1) AND blobs_erased_at IS NULL
ORDER BY erased_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""

# A webhook that is not delivered yet keeps its address and secret until `settle` ends it.
BLOBS_ARE_ERASED = """
WITH open AS (
    SELECT DISTINCT job_id FROM tasks
    WHERE job_id = ANY($1::uuid[]) AND state IN ('dispatched', 'running', 'waiting')
)
UPDATE jobs SET blobs_erased_at = now(),
    webhook_url = CASE WHEN id IN (SELECT job_id FROM open) THEN webhook_url END,
    webhook_secret = CASE WHEN id IN (SELECT job_id FROM open) THEN webhook_secret END
WHERE id = ANY($1::uuid[])
"""

# Texts about the attempts: an endpoint may have answered with what it received.
FORGET_TEXTS = """
UPDATE webhook_attempts SET answer = NULL
WHERE answer IS NOT NULL AND event_id IN (SELECT id FROM webhook_events WHERE job_id = ANY($1::uuid[]))
"""
FORGET_FAILURES = """
UPDATE tasks SET failure = NULL
WHERE job_id = ANY($1::uuid[]) AND failure IS NOT NULL AND state IN ('done', 'dead', 'cancelled')
    AND (state <> 'dead' OR dismissed_at IS NOT NULL)
"""

# An ingest of an older version erases a job without its edits.
FORGET_EDITS = "DELETE FROM transcript_edits WHERE job_id = ANY($1::uuid[])"

FORGET_ATTEMPTS = "DELETE FROM webhook_attempts WHERE attempted_at < now() - make_interval(secs => $1)"


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long jobs, audio and webhook attempts are kept; 0: forever."""

    jobs_s: float
    audio_s: float
    webhook_log_s: float


class Eraser:
    """`run_once` of the maintenance loop: processes one batch of each kind."""

    def __init__(self, blobs: BlobStore, retention: Retention, *, lease_s: float) -> None:
        self._blobs = blobs
        self._retention = retention
        self._settled_after_s = lease_s * SETTLED_AFTER_LEASES

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Erase what is due."""
        if self._retention.jobs_s:
            await self._erase_jobs(connection)
        if self._retention.audio_s:
            await self._erase_audio(connection)
        await connection.execute(FORGET_ATTEMPTS, self._retention.webhook_log_s)
        await self._sweep(connection)

    async def _erase_jobs(self, connection: asyncpg.Connection) -> None:
        """Erase old jobs as the ingest's DELETE does."""
        jobs = await connection.fetch(OLD_JOBS, self._retention.jobs_s, BATCH)
        for job in jobs:
            await erase_content(connection, job["id"], job["options"])
        if jobs:
            log.info("jobs_erased_by_age", jobs=len(jobs))

    async def _erase_audio(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(OLD_AUDIO, self._retention.audio_s, BATCH)
        for row in rows:
            denoised = [blob_keys.denoised(row["id"], number) for number in range(1, row["generation"] + 1)]
            await self._blobs.delete_keys([blob_keys.source(row["id"]), *denoised])
        await connection.execute(AUDIO_IS_ERASED, [row["id"] for row in rows])

    async def _sweep(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(TO_SWEEP, self._settled_after_s, BATCH)
        for row in rows:
            await self._blobs.delete(blob_keys.job(row["id"]))
        if erased := [row["id"] for row in rows]:
            for statement in (FORGET_TEXTS, FORGET_FAILURES, FORGET_EDITS, BLOBS_ARE_ERASED):
                await connection.execute(statement, erased)
