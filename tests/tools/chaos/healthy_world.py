"""Facts without a violation, for tests that break one fact at a time."""

import datetime as dt
from uuid import UUID

import msgspec

from shared.schemas.states import JobStatus, TaskKind, TaskState
from shared.schemas.webhook_events import EventType, event_id
from tests.tools.chaos.facts import Change, DeadTask, EventRow, Facts, JobRow, TaskRow
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.receiver import Received

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
JOB, TASK, DELIVERY, DEAD_JOB, DEAD_TASK = (UUID(int=number) for number in range(1, 6))
WORKER, OTHER_WORKER, INGEST = "worker-0.0", "worker-1.0", "ingest.0"
EVENT = event_id(JOB, 1, EventType.COMPLETED)


def healthy() -> Facts:
    """Return facts with a completed job that sent one webhook, and a failed job with a dead letter."""
    return Facts(
        attempts=(
            attempt(JOB, JobStatus.COMPLETED, webhook="ok/0"),
            attempt(DEAD_JOB, JobStatus.FAILED, webhook=None),
        ),
        jobs={job.id: job for job in (job_row(JOB, JobStatus.COMPLETED), job_row(DEAD_JOB, JobStatus.FAILED))},
        tasks=(
            task_row(TASK, JOB, TaskKind.PREPARE, TaskState.DONE),
            task_row(DELIVERY, JOB, TaskKind.DELIVER, TaskState.DONE),
            task_row(DEAD_TASK, DEAD_JOB, TaskKind.PREPARE, TaskState.DEAD),
        ),
        changes=numbered(
            *birth(JOB, TASK),
            claimed(TASK, JOB, WORKER),
            moved(TASK, JOB, TaskState.RUNNING, TaskState.DONE),
            ended(JOB, JobStatus.COMPLETED),
            *birth(DEAD_JOB, DEAD_TASK),
            claimed(DEAD_TASK, DEAD_JOB, WORKER),
            moved(DEAD_TASK, DEAD_JOB, TaskState.RUNNING, TaskState.DEAD),
            ended(DEAD_JOB, JobStatus.FAILED),
        ),
        events=(EventRow(id=EVENT, job_id=JOB, generation=1, type=EventType.COMPLETED, committed_at=NOON),),
        received=(received_webhook(),),
        dead_in_redis=(dead_letter(),),
        blobs={f"jobs/{job}/source": sha256(job) for job in (JOB, DEAD_JOB)},
        transcripts={JOB: "tick"},
        calls=2,
    )


def attempt(job: UUID, expected: JobStatus, *, webhook: str | None) -> Attempt:
    return Attempt(
        number=job.int,
        sha256=sha256(job),
        sent_at=0.0,
        expected=expected,
        webhook=webhook,
        status=202,
        job_id=str(job),
        text="tick",
        calls=1,
        chunks=0,
    )


def job_row(job: UUID, status: JobStatus) -> JobRow:
    return JobRow(id=job, tenant="default", status=status, generation=1, source_sha256=sha256(job))


def task_row(task: UUID, job: UUID, kind: TaskKind, state: TaskState) -> TaskRow:
    return TaskRow(id=task, job_id=job, generation=1, kind=kind, ordinal=0, state=state)


def received_webhook() -> Received:
    at = NOON.timestamp() + 1
    return Received(at=at, path="/ok/0", event_id=EVENT, type=EventType.COMPLETED, job_id=str(JOB), verifies=True)


def sha256(job: UUID) -> str:
    return f"sha256 of {job.int}"


def dead_letter() -> DeadTask:
    return DeadTask(job_id=str(DEAD_JOB), generation=1, task_kind=TaskKind.PREPARE, ordinal=0)


def birth(job: UUID, task: UUID) -> tuple[Change, Change]:
    job_change = Change(
        seq=0,
        at=NOON,
        who=INGEST,
        relation="jobs",
        operation="INSERT",
        id=job,
        job_id=job,
        generation=1,
        state="QUEUED",
    )
    task_change = Change(
        seq=0,
        at=NOON,
        who=INGEST,
        relation="tasks",
        operation="INSERT",
        id=task,
        job_id=job,
        kind=TaskKind.PREPARE,
        generation=1,
        state=TaskState.DISPATCHED,
        token=0,
    )
    return job_change, task_change


def claimed(task: UUID, job: UUID, who: str, *, token: int = 1) -> Change:
    change = moved(task, job, TaskState.DISPATCHED, TaskState.RUNNING, who=who, token=token)
    return msgspec.structs.replace(change, old_token=token - 1)


def moved(  # noqa: PLR0913 - a row of the audit has many columns
    task: UUID, job: UUID, old: TaskState, new: TaskState, *, who: str = WORKER, token: int = 1
) -> Change:
    return Change(
        seq=0,
        at=NOON,
        who=who,
        relation="tasks",
        operation="UPDATE",
        id=task,
        job_id=job,
        kind=TaskKind.PREPARE,
        old_generation=1,
        generation=1,
        old_state=old,
        state=new,
        old_token=token,
        token=token,
        old_expires_at=NOON + dt.timedelta(seconds=3),
    )


def ended(job: UUID, status: JobStatus, *, old: JobStatus = JobStatus.PROCESSING) -> Change:
    return Change(
        seq=0,
        at=NOON,
        who=WORKER,
        relation="jobs",
        operation="UPDATE",
        id=job,
        job_id=job,
        old_generation=1,
        generation=1,
        old_state=old,
        state=status,
    )


def numbered(*changes: Change) -> tuple[Change, ...]:
    return tuple(msgspec.structs.replace(change, seq=number) for number, change in enumerate(changes, 1))
