"""Claims, heartbeats, lost leases, crashes, stale finishes, cancels and redrives in any order, on a real Postgres.

Hypothesis walks at random; after each step the invariants must hold. A worker with a lost lease must change nothing.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from ingest_service.auth.caller import LOCAL
from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.cancel import cancel_job
from ingest_service.jobs.erase import erase_job
from ingest_service.jobs.redrive import redrive_job
from ingest_service.quotas.quota_usage import Quotas
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.uploads.notify import DispatchNotifier
from processor_service.audio.write_chunks import PreparedAudio
from processor_service.errors import LeaseLostError
from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.rescue import Rescuer, wake
from processor_service.tasks.claim import ClaimedTask, claim
from processor_service.tasks.leases import HEARTBEAT
from processor_service.tasks.outcomes import (
    ChunkDone,
    ChunkInput,
    Crashed,
    Delivered,
    DeliveryAttempt,
    Failed,
    Interrupted,
    JobDone,
    Outcome,
    Split,
)
from processor_service.tasks.retry import MAX_CRASHES, RetryPolicy
from processor_service.tasks.settle import settle
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import JobStatus, TaskKind
from tests.service.processor.conftest import INSERT_JOB

T = TypeVar("T")
POLICY = RetryPolicy(waits_s=(10.0, 20.0, 40.0), longest_retry_after_s=600)
AUDIO = PreparedAudio(duration_s=9, sample_rate_hz=8000, channels=1, codec="pcm_16", chunk_count=1, decode_errors=0)
SPAN = ChunkInput(file_start_frame=0, core_start_frame=0, core_end_frame=9, sample_rate_hz=8000, channels=1)
TRANSIENT = Failure(code=FailureCode.STORAGE_UNAVAILABLE, message="unavailable", transient=True)
PERMANENT = Failure(code=FailureCode.UNDECODABLE_AUDIO, message="damaged")
SELDOM = st.integers(0, 5)  # at 0: rules that end jobs must leave some alive
FAILING_OUTCOMES = [Failed(TRANSIENT), Failed(PERMANENT), Crashed("-11"), Interrupted()]
ATTEMPT = DeliveryAttempt(id=0, duration_ms=1, status=204)

EVERYTHING = """
SELECT (SELECT json_agg(j ORDER BY id) FROM jobs j)::text, (SELECT json_agg(t ORDER BY id) FROM tasks t)::text,
       (SELECT json_agg(e ORDER BY id) FROM webhook_events e)::text
"""

# Invariants of every job; each condition is a violation.
VIOLATIONS = """
WITH work AS (
    SELECT j.id,
        count(*) FILTER (WHERE t.state NOT IN ('done', 'dead', 'cancelled')) AS live,
        count(*) FILTER (WHERE t.state = 'dead') AS dead,
        count(*) FILTER (WHERE t.state = 'done' AND t.kind = 'chunk') AS done_chunks,
        count(*) FILTER (WHERE t.kind = 'chunk') AS chunks,
        count(*) FILTER (WHERE t.kind = 'finish') AS finishes
    FROM jobs j JOIN tasks t ON t.job_id = j.id AND t.generation = j.generation AND t.kind <> 'deliver'
    GROUP BY j.id
), announced AS (
    SELECT j.id, count(e.id) AS events, min(e.type) AS type
    FROM jobs j LEFT JOIN webhook_events e ON e.job_id = j.id AND e.generation = j.generation GROUP BY j.id
)
SELECT j.id, j.status, problem FROM jobs j JOIN work USING (id) JOIN announced USING (id), LATERAL (VALUES
    (j.status IN ('QUEUED', 'PROCESSING') AND live = 0, 'no task is left to end it'),
    (j.status IN ('QUEUED', 'PROCESSING') AND dead > 0, 'it continues with a dead task'),
    (j.status IN ('COMPLETED', 'FAILED', 'CANCELLED') AND live > 0, 'it ended and has active tasks'),
    (j.status = 'FAILED' AND dead <> 1, 'it failed without exactly one dead task'),
    (j.status = 'COMPLETED' AND done_chunks <> chunks, 'it completed without all of its chunks'),
    (done_chunks <> j.chunks_done, 'chunks are miscounted'),
    (finishes > 0 AND done_chunks < chunks, 'it finishes before its last chunk'),
    (j.status IN ('QUEUED', 'PROCESSING') AND events > 0, 'it has an end event before its end'),
    (j.status IN ('COMPLETED', 'FAILED', 'CANCELLED') AND events <> 1, 'it does not have exactly one end event'),
    (events = 1 AND type <> 'job.' || lower(j.status), 'its end event has another status'),
    ((j.completed_at IS NULL) <> (j.status IN ('QUEUED', 'PROCESSING')), 'its end has no time, or a time without end'),
    ((j.error_code IS NOT NULL) <> (j.status = 'FAILED'), 'its error does not fit its status')
) AS checks(is_broken, problem) WHERE is_broken
UNION ALL
SELECT t.id, t.state, 'a task violates a bound' FROM tasks t
WHERE t.crashes > 3 OR t.attempts > 4 OR (t.state = 'running') <> (t.lease_expires_at IS NOT NULL)
    OR (t.state = 'waiting') <> (t.not_before IS NOT NULL)
"""

DISPATCHED = """
SELECT id, dispatch_no FROM tasks WHERE state = 'dispatched' ORDER BY job_id, generation, kind, ordinal
"""


class Life(RuleBasedStateMachine):
    """Jobs, workers and events in any order."""

    database_url: str
    storage_url: str
    loop: asyncio.AbstractEventLoop

    jobs = Bundle("jobs")
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.pool: asyncpg.Pool = self._do(_open(self.database_url))
        self.database = Database(self.pool)
        self.notifier = _SilentNotifier()
        self.quotas = QuotaGate(self.database, Quotas())
        self.blobs = BlobStore(self.storage_url)
        self.rescuer = Rescuer(self.pool, POLICY)
        self.tokens: dict[UUID, int] = {}

    def teardown(self) -> None:
        self._do(self.pool.close())

    @rule(target=jobs)
    def submit(self) -> UUID:
        job_id = new_id()
        self._do(self.pool.execute(INSERT_JOB, job_id, "http://client/hook"))
        insert = "INSERT INTO tasks (id, job_id, kind) VALUES ($1, $2, 'prepare')"
        self._do(self.pool.execute(insert, new_id(), job_id))
        return job_id

    @rule(target=leases, place=st.integers(0, 5))
    def claim(self, place: int) -> Any:
        dispatched = self._dispatched()
        return self._claimed(dispatched[place % len(dispatched)]) if dispatched else multiple()

    @rule(place=st.integers(0, 5))
    def claim_by_an_outdated_dispatch(self, place: int) -> None:
        for row in self._dispatched()[place : place + 1]:
            outdated = claim(self.pool, row["id"], row["dispatch_no"] - 1, worker="w", lease_s=3600)
            assert self._do(outdated) is None

    @rule(count=st.integers(1, 4), is_long=st.booleans())
    def work_for_a_while(self, count: int, is_long: bool) -> None:  # noqa: FBT001 - Hypothesis passes by name
        for _ in range(count):
            for row in self._dispatched()[:1]:
                self._succeed(self._claimed(row), is_long=is_long)

    @rule(outcome=st.sampled_from(FAILING_OUTCOMES))
    def work_badly(self, outcome: Outcome) -> None:
        for row in self._dispatched()[-1:]:
            self._settle(self._claimed(row), outcome)

    @rule(lease=leases)
    def heartbeat(self, lease: ClaimedTask) -> None:
        kept = self._do(self.pool.fetch(HEARTBEAT, [lease.id], [lease.lease_token], [0.5], 3600.0, *[lease.job_id] * 2))
        assert bool(kept) == self._holds(lease)

    @rule(lease=leases)
    def lose_the_worker(self, lease: ClaimedTask) -> None:
        expire = "UPDATE tasks SET lease_expires_at = '-infinity' WHERE id = $1 AND state = 'running'"
        self._do(self.pool.execute(expire, lease.id))

    @rule()
    def rescue(self) -> None:
        self._do(run_locked(self.pool, "rescue", self.rescuer))

    @rule()
    def wake(self) -> None:
        self._do(self.pool.execute("UPDATE tasks SET not_before = now() WHERE state = 'waiting'"))
        self._do(run_locked(self.pool, "wake", wake))

    @rule(lease=leases, is_long=st.booleans())
    def succeed(self, lease: ClaimedTask, is_long: bool) -> None:  # noqa: FBT001 - Hypothesis passes by name
        self._succeed(lease, is_long=is_long)

    @rule(lease=leases, outcome=st.sampled_from(FAILING_OUTCOMES))
    def go_wrong(self, lease: ClaimedTask, outcome: Outcome) -> None:
        self._settle(lease, outcome)

    @rule(job_id=jobs, chance=SELDOM)
    def cancel(self, job_id: UUID, chance: int) -> None:
        if chance:
            return
        status, _ = self._standing(job_id)
        refused = self._refused(cancel_job(self.database, self.notifier, LOCAL.tenant, str(job_id)))
        assert refused == (status in (JobStatus.COMPLETED, JobStatus.FAILED) or self._is_erased(job_id))

    @rule()
    def redrive_what_failed(self) -> None:
        for row in self._do(self.pool.fetch("SELECT id FROM jobs WHERE status = 'FAILED' AND erased_at IS NULL")):
            _, generation = self._standing(row["id"])
            self._do(redrive_job(self.database, self.notifier, self.quotas, LOCAL.tenant, str(row["id"])))
            assert self._standing(row["id"]) == (JobStatus.QUEUED, generation + 1)

    @rule(job_id=jobs)
    def redrive_what_did_not_fail(self, job_id: UUID) -> None:
        before = self._standing(job_id)
        if before[0] is not JobStatus.FAILED:
            self._refused(redrive_job(self.database, self.notifier, self.quotas, LOCAL.tenant, str(job_id)))
            assert self._standing(job_id) == before

    @rule(job_id=jobs, chance=SELDOM)
    def erase(self, job_id: UUID, chance: int) -> None:
        if chance:
            return
        self._do(erase_job(self.database, self.notifier, self.blobs, LOCAL.tenant, str(job_id)))
        assert self._refused(redrive_job(self.database, self.notifier, self.quotas, LOCAL.tenant, str(job_id)))

    @invariant()
    def the_record_makes_sense(self) -> None:
        assert [tuple(row) for row in self._do(self.pool.fetch(VIOLATIONS))] == []

    @invariant()
    def tokens_only_grow(self) -> None:
        for row in self._do(self.pool.fetch("SELECT id, lease_token FROM tasks")):
            assert row["lease_token"] >= self.tokens.get(row["id"], 0)
            self.tokens[row["id"]] = row["lease_token"]

    def _dispatched(self) -> list[Any]:
        return list(self._do(self.pool.fetch(DISPATCHED)))

    def _claimed(self, row: Any) -> ClaimedTask:
        task = self._do(claim(self.pool, row["id"], row["dispatch_no"], worker="w", lease_s=3600))
        assert task is not None
        return task

    def _succeed(self, lease: ClaimedTask, *, is_long: bool) -> None:
        match lease.kind:
            case TaskKind.PREPARE:
                self._settle(lease, Split(AUDIO.duration_s, (SPAN, SPAN), ()) if is_long else JobDone(()))
            case TaskKind.CHUNK:
                self._settle(lease, ChunkDone())
            case TaskKind.FINISH:
                self._settle(lease, JobDone(()))
            case TaskKind.DELIVER:
                self._settle(lease, Delivered(ATTEMPT))

    def _settle(self, lease: ClaimedTask, outcome: Outcome) -> None:
        if self._holds(lease):
            self._do(settle(self.pool, lease, outcome, policy=POLICY))
            return
        before = self._do(self.pool.fetchrow(EVERYTHING))
        try:
            self._do(settle(self.pool, lease, outcome, policy=POLICY))
        except LeaseLostError:
            assert self._do(self.pool.fetchrow(EVERYTHING)) == before
        else:
            raise AssertionError("a stale worker could write")

    def _holds(self, lease: ClaimedTask) -> bool:
        query = "SELECT state = 'running' AND lease_token = $2 FROM tasks WHERE id = $1"
        return bool(self._do(self.pool.fetchval(query, lease.id, lease.lease_token)))

    def _standing(self, job_id: UUID) -> tuple[JobStatus, int]:
        row = self._do(self.pool.fetchrow("SELECT status, generation FROM jobs WHERE id = $1", job_id))
        return JobStatus(row["status"]), row["generation"]

    def _is_erased(self, job_id: UUID) -> bool:
        return bool(self._do(self.pool.fetchval("SELECT erased_at IS NOT NULL FROM jobs WHERE id = $1", job_id)))

    def _refused(self, request: Awaitable[Any]) -> bool:
        try:
            self._do(request)
        except RefusedError:
            return True
        return False

    def _do(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.loop.run_until_complete(awaited())


class _SilentNotifier(DispatchNotifier):
    """Enqueues nothing: the machine claims tasks by their rows."""

    def __init__(self) -> None:
        """Without a Redis."""

    def notify_soon(self, *dispatches: Dispatch) -> None:
        """As `ingest_service.uploads.notify.DispatchNotifier`."""

    def job_changed(self, job_id: UUID, tenant: str) -> None:
        """As `ingest_service.uploads.notify.DispatchNotifier`."""


async def _open(database_url: str) -> asyncpg.Pool:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=4)
    await pool.execute("TRUNCATE jobs, tasks, webhook_events, webhook_attempts")
    return pool


@pytest.mark.fuzz
def test_no_order_of_events_breaks_an_invariant(database_url: str, storage_url: str) -> None:
    loop = asyncio.new_event_loop()

    class OneLife(Life):
        pass

    OneLife.database_url, OneLife.storage_url, OneLife.loop = database_url, storage_url, loop
    try:
        run_state_machine_as_test(
            OneLife,
            settings=settings(
                max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
    finally:
        loop.close()
    assert MAX_CRASHES == 3  # what VIOLATIONS counts on
