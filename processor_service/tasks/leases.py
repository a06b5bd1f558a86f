"""Leases: a claim begins a lease, a heartbeat extends it, its token fences every later write.

Only the clock of Postgres counts. A worker whose heartbeat finds a lease lost stops that work and writes nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from processor_service.audio.write_chunks import PreparedAudio
from processor_service.errors import ChildCrashError, TransientError
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.failures import failure_of
from processor_service.tasks.outcomes import Crashed, Failed, Interrupted, LeaseLost, Outcome, StorageFull
from processor_service.telemetry.metrics import RUNNING
from shared.queue.task_costs import cost_s
from shared.schemas.failures import FailureCode
from shared.schemas.states import TaskKind
from shared.telemetry.logs import Log
from shared.telemetry.redact import redact

log = Log(__name__)

PROGRESS_STEP = 0.05  # of a task: at most 20 heartbeats more

HEARTBEAT = """
WITH held AS (
    SELECT t.id FROM tasks t JOIN unnest($1::uuid[], $2::bigint[]) AS mine(id, token)
        ON t.id = mine.id AND t.lease_token = mine.token
    WHERE t.state = 'running' AND t.job_id BETWEEN $5 AND $6 ORDER BY t.id FOR UPDATE OF t
)
UPDATE tasks t
SET lease_expires_at = now() + make_interval(secs => $4), progress = mine.progress
FROM held, unnest($1::uuid[], $3::real[]) AS mine(id, progress)
WHERE t.id = held.id AND mine.id = t.id AND t.job_id BETWEEN $5 AND $6
RETURNING t.id
"""

RECORD_SHA256 = """
UPDATE jobs SET source_sha256 = $3 WHERE id = $4 AND EXISTS (
    SELECT 1 FROM tasks WHERE id = $1 AND job_id = $4 AND lease_token = $2 AND state = 'running')
"""

# The facts of the decoded audio, before it is transcribed: a job that is cancelled then has used these seconds, too.
# Its peaks are stored. A short file ($9) is transcribed from now on, by the same task.
# The seconds count once: a job that is prepared again or redriven has a duration already.
RECORD_AUDIO = """
WITH held AS (
    SELECT generation FROM tasks WHERE id = $1 AND job_id = $8 AND lease_token = $2 AND state = 'running'
), unknown AS (
    SELECT tenant, source_bytes, container FROM jobs, held WHERE id = $8 AND duration_s IS NULL
), recorded AS (
    UPDATE jobs SET duration_s = $3, sample_rate_hz = $4, channels = $5, codec = $6, tracks = $7,
        peaks_generation = (SELECT generation FROM held), stage = CASE WHEN $9 THEN 'transcribe' ELSE stage END,
        transcribing_since = CASE WHEN $9 THEN now() ELSE transcribing_since END
    WHERE id = $8 AND EXISTS (SELECT 1 FROM held)
), counted AS (
    INSERT INTO tenant_usage AS used (tenant, day, shard, audio_s)
    SELECT tenant, usage_day(), usage_shard(), $3 FROM unknown
    ON CONFLICT (tenant, day, shard) DO UPDATE SET audio_s = used.audio_s + excluded.audio_s
)
SELECT unknown.tenant IS NOT NULL AS is_new, source_bytes, container FROM held LEFT JOIN unknown ON true
"""

CONFIRM = "SELECT 1 FROM tasks WHERE id = $1 AND job_id = $3 AND lease_token = $2 AND state = 'running'"


class _HeldLease:
    """A leased task and the asyncio task that works on it."""

    def __init__(self, task: ClaimedTask, work: asyncio.Task[Outcome]) -> None:
        self.task = task
        self.work = work
        self.progress = 0.0
        self.written = 0.0  # progress in the database
        self.ended_by: Outcome | None = None

    def end(self, outcome: Outcome) -> None:
        self.ended_by = self.ended_by or outcome
        self.work.cancel()


class Leases:
    """The leases of one worker process. One heartbeat statement extends all of them."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        lease_s: float,
        heartbeats: asyncpg.Pool | None = None,
        job_changed: Callable[[UUID, str], None] = lambda *_: None,
    ) -> None:
        """`job_changed` is called with a job and its tenant, after each heartbeat that wrote progress.

        Heartbeats use connections of their own: they never wait until another statement ends.
        """
        self._pool = pool
        self._heartbeats = heartbeats or pool
        self._job_changed = job_changed
        self._lease_s = lease_s
        self._held: dict[UUID, _HeldLease] = {}
        self._stopping = False
        self._progressed = asyncio.Event()

    async def hold(self, task: ClaimedTask, stage: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Run a stage under the task's lease. Every end of the stage becomes an outcome."""
        held = _HeldLease(task, asyncio.create_task(stage))
        self._held[task.id] = held
        RUNNING[task.kind].inc()
        if self._stopping:
            held.end(Interrupted())
        try:
            return await held.work
        except asyncio.CancelledError:
            return held.ended_by or Interrupted()
        except ChildCrashError as error:
            return Crashed(redact(str(error)))
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes an outcome
            failure = failure_of(error)
            return StorageFull(failure) if failure.code is FailureCode.STORAGE_FULL else Failed(failure)
        finally:
            RUNNING[task.kind].dec()
            del self._held[task.id]

    def report(self, task: ClaimedTask, progress: float) -> None:
        """Set the progress of a task; the next heartbeat writes it. `progressed` requests one after a large step."""
        if held := self._held.get(task.id):
            held.progress = progress
            if progress >= held.written + PROGRESS_STEP:
                self._progressed.set()

    async def progressed(self) -> None:
        """Wait until a task has progress that is worth a heartbeat of its own."""
        await self._progressed.wait()

    async def record_sha256(self, task: ClaimedTask, sha256: str) -> None:
        """Write the hash of a source that the ingest did not receive itself."""
        await self._pool.execute(RECORD_SHA256, task.id, task.lease_token, sha256, task.job_id)

    async def record_audio(self, task: ClaimedTask, audio: PreparedAudio) -> int:
        """Write the facts of the decoded audio. Return by how much its cost exceeds the guess. Raise TaskError.

        The caller publishes that the job has changed: with the correction of the cost, if there is one.
        """
        tracks = msgspec.json.encode(audio.track_choice.listed()).decode()
        facts = audio.duration_s, audio.sample_rate_hz, audio.channels, audio.codec, tracks, task.job_id
        row = await self._pool.fetchrow(RECORD_AUDIO, task.id, task.lease_token, *facts, audio.chunk_count == 1)
        if row is None:
            raise _lease_lost()
        if not row["is_new"]:
            return 0
        guessed = cost_s(TaskKind.PREPARE, source_bytes=row["source_bytes"], container=row["container"])
        return cost_s(TaskKind.PREPARE, duration_s=audio.duration_s) - guessed

    async def confirm(self, task: ClaimedTask) -> None:
        """Raise TaskError when the lease is lost."""
        if not await self._pool.fetchval(CONFIRM, task.id, task.lease_token, task.job_id):
            raise _lease_lost()

    async def beat(self) -> None:
        """Extend every lease; stop the work of the lost ones."""
        self._progressed.clear()
        held = list(self._held.values())
        if not held:
            return
        ids, jobs = [one.task.id for one in held], [one.task.job_id for one in held]
        tokens = [one.task.lease_token for one in held]
        progress = [one.progress for one in held]
        # The timeout limits a frozen connection to one missed heartbeat.
        rows = await self._heartbeats.fetch(
            HEARTBEAT, ids, tokens, progress, self._lease_s, min(jobs), max(jobs), timeout=self._lease_s / 3
        )
        kept = {row["id"] for row in rows}
        for one, written in zip(held, progress, strict=True):
            if one.task.id in kept:
                self._note_written(one, written)
            elif self._held.get(one.task.id) is one:  # it has not ended meanwhile
                log.warning("lease_lost", task_id=one.task.id, job_id=one.task.job_id)
                one.end(LeaseLost())

    def _note_written(self, held: _HeldLease, progress: float) -> None:
        if progress != held.written:
            held.written = progress
            self._job_changed(held.task.job_id, held.task.tenant)

    async def drain(self, grace_s: float) -> None:
        """Let running work finish within `grace_s`, then interrupt the rest."""
        works = [one.work for one in self._held.values()]
        if works:
            log.info("draining", tasks=len(works), grace_s=grace_s)
            await asyncio.wait(works, timeout=grace_s)
        self._stopping = True
        for one in list(self._held.values()):
            one.end(Interrupted())


def _lease_lost() -> TransientError:
    return TransientError(FailureCode.INTERNAL, "Another worker has the task.")
