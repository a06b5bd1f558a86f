"""The checker detects violations: each test breaks one invariant in otherwise healthy facts."""

import datetime as dt
from uuid import UUID

import msgspec
import pytest

from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus, TaskKind, TaskState
from tests.tools.chaos.facts import Change, DeadTask, JobRow, Leftovers, TaskRow
from tests.tools.chaos.healthy_world import (
    DEAD_JOB,
    DEAD_TASK,
    INGEST,
    JOB,
    NOON,
    OTHER_WORKER,
    TASK,
    WORKER,
    attempt,
    claimed,
    dead_letter,
    ended,
    healthy,
    job_row,
    moved,
    numbered,
    received_webhook,
    task_row,
)
from tests.tools.chaos.invariants import violations_of
from tests.tools.chaos.load import Attempt

OTHER_ID = UUID(int=99)


def broken(**facts: object) -> set[str]:
    """Return the invariants that are violated when some healthy facts are replaced."""
    violations = violations_of(msgspec.structs.replace(healthy(), **facts))
    return {violation.partition(":")[0] for violation in violations}


def test_a_healthy_world_violates_nothing() -> None:
    assert violations_of(healthy()) == []


def test_i1_an_accepted_job_without_a_row() -> None:
    assert "I1" in broken(jobs={DEAD_JOB: job_row(DEAD_JOB, JobStatus.FAILED)})


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.PROCESSING, JobStatus.FAILED])
def test_i1_a_job_that_ends_in_the_wrong_state(status: JobStatus) -> None:
    assert "I1" in broken(jobs=healthy().jobs | {JOB: job_row(JOB, status)})


def test_i1_an_upload_without_an_answer_must_end_too_if_it_has_a_row() -> None:
    jobs = healthy().jobs | {JOB: job_row(JOB, JobStatus.PROCESSING)}
    assert "I1" in broken(jobs=jobs, attempts=with_attempt(status=None, job_id=None))


def test_i1_a_job_that_was_perhaps_cancelled_may_end_as_cancelled() -> None:
    jobs = healthy().jobs | {JOB: job_row(JOB, JobStatus.CANCELLED)}
    assert "I1" in broken(jobs=jobs)
    perhaps = msgspec.structs.replace(attempt(JOB, JobStatus.COMPLETED, webhook="ok/0"), may_be_cancelled=True)
    assert "I1" not in broken(jobs=jobs, attempts=(perhaps, *healthy().attempts[1:]))


def test_i1_poison_is_excused_when_each_of_its_workers_was_killed_on_purpose() -> None:
    lives = ("worker-0.1", "worker-1.1", "worker-0.2")
    facts = poisoned(lives)
    assert "I1" not in broken(**facts, struck=frozenset(lives))
    assert "I1" in broken(**facts, struck=frozenset(lives[:2]))
    assert "I1" in broken(**poisoned(("worker-0.1",) * 3), struck=frozenset(lives))


def test_i2_a_job_that_ends_twice_in_a_generation() -> None:
    assert "I2" in broken(changes=with_changes(ended(JOB, JobStatus.COMPLETED)))


@pytest.mark.parametrize("text", ["tick tick", "", None])
def test_i2_a_transcript_that_is_not_the_golden_one(text: str | None) -> None:
    assert "I2" in broken(transcripts={} if text is None else {JOB: text})


def test_i3_an_end_without_an_event() -> None:
    assert "I3" in broken(events=())


def test_i3_an_event_without_an_end() -> None:
    event = msgspec.structs.replace(healthy().events[0], id="evt_2", generation=2)
    assert "I3" in broken(events=(*healthy().events, event))


def test_i3_an_event_that_was_never_received() -> None:
    assert "I3" in broken(received=())


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_id": "evt_other"},
        {"verifies": False},
        {"at": NOON.timestamp() - 0.01},
        {"job_id": str(DEAD_JOB)},
        {"type": "job.failed"},
    ],
)
def test_i3_a_webhook_that_is_wrong(wrong: dict[str, object]) -> None:
    assert "I3" in broken(received=(received_webhook(), msgspec.structs.replace(received_webhook(), **wrong)))


def test_i3_a_redirect_that_was_followed() -> None:
    assert "I3" in broken(trapped=1)


def test_i4_a_task_that_is_done_twice() -> None:
    assert "I4" in broken(changes=with_changes(moved(TASK, JOB, TaskState.RUNNING, TaskState.DONE)))


@pytest.mark.parametrize("state", [TaskState.DONE, TaskState.DISPATCHED])
def test_i4_a_completed_job_with_a_chunk_too_many_or_too_few(state: TaskState) -> None:
    chunk = task_row(OTHER_ID, JOB, TaskKind.CHUNK, state)
    wanted = msgspec.structs.replace(attempt(JOB, JobStatus.COMPLETED, webhook="ok/0"), chunks=int(state != "done"))
    assert "I4" in broken(tasks=(*healthy().tasks, chunk), attempts=(wanted, *healthy().attempts[1:]))


def test_i4_more_calls_of_the_transcriber_than_the_crashes_explain() -> None:
    assert "I4" in broken(calls=5)
    assert "I4" in broken(calls=5, calls_allowed_again=2)
    assert broken(calls=5, calls_allowed_again=3) == set()


def test_i4_fewer_calls_than_there_are_results() -> None:
    assert "I4" in broken(calls=0)


def test_i5_a_job_missing_from_the_audit() -> None:
    assert "I5" in broken(changes=())


def test_i5_a_token_that_goes_down() -> None:
    change = moved(DEAD_TASK, DEAD_JOB, TaskState.DEAD, TaskState.DEAD, token=0)
    assert "I5" in broken(changes=with_changes(change))


@pytest.mark.parametrize("state", [TaskState.DONE, TaskState.WAITING, TaskState.DEAD, TaskState.DISPATCHED])
def test_i5_a_write_by_a_stale_worker(state: TaskState) -> None:
    assert "I5" in broken(changes=with_changes(*reclaimed(), moved(OTHER_ID, JOB, TaskState.RUNNING, state, token=2)))


def test_i5_rescue_may_take_a_task_only_after_its_lease() -> None:
    late = NOON + dt.timedelta(seconds=3.1)
    rescue = moved(OTHER_ID, JOB, TaskState.RUNNING, TaskState.DISPATCHED, who=OTHER_WORKER)
    claim = claimed(OTHER_ID, JOB, WORKER)
    assert "I5" in broken(changes=with_changes(claim, rescue))
    assert "I5" not in broken(changes=with_changes(claim, msgspec.structs.replace(rescue, at=late)))


def test_i5_any_process_may_cancel() -> None:
    cancel = moved(OTHER_ID, JOB, TaskState.RUNNING, TaskState.CANCELLED, who=INGEST)
    assert "I5" not in broken(changes=with_changes(claimed(OTHER_ID, JOB, WORKER), cancel))


def test_i5_a_claim_without_a_new_token() -> None:
    claim = msgspec.structs.replace(claimed(OTHER_ID, JOB, WORKER), old_token=1)
    assert "I5" in broken(changes=with_changes(claim))


@pytest.mark.parametrize(
    "change",
    [
        moved(OTHER_ID, JOB, TaskState.DONE, TaskState.RUNNING),
        moved(OTHER_ID, JOB, TaskState.DEAD, TaskState.DISPATCHED),
        moved(OTHER_ID, JOB, TaskState.WAITING, TaskState.DONE),
        ended(JOB, JobStatus.CANCELLED, old=JobStatus.COMPLETED),
        ended(JOB, JobStatus.QUEUED, old=JobStatus.FAILED),  # a redrive without a new generation
        msgspec.structs.replace(ended(JOB, JobStatus.COMPLETED), generation=2),
        msgspec.structs.replace(moved(TASK, JOB, TaskState.DONE, TaskState.DONE), operation="DELETE"),
        msgspec.structs.replace(moved(OTHER_ID, JOB, TaskState.DONE, TaskState.RUNNING), operation="INSERT"),
    ],
)
def test_i5_a_transition_that_is_not_permitted(change: Change) -> None:
    assert "I5" in broken(changes=with_changes(change))


def test_i5_an_orphan_may_be_inserted_as_cancelled_and_erased() -> None:
    orphan = msgspec.structs.replace(job_row(OTHER_ID, JobStatus.CANCELLED), source_sha256="", erased_at=NOON)
    birth = msgspec.structs.replace(ended(OTHER_ID, JobStatus.CANCELLED), operation="INSERT", old_state=None)
    assert broken(jobs=healthy().jobs | {OTHER_ID: orphan}, changes=with_changes(birth)) == set()
    alive = msgspec.structs.replace(orphan, erased_at=None)
    assert "I5" in broken(jobs=healthy().jobs | {OTHER_ID: alive}, changes=with_changes(birth))


def test_i5_a_redrive_opens_a_generation_that_may_keep_chunks() -> None:
    redrive = msgspec.structs.replace(ended(DEAD_JOB, JobStatus.QUEUED, old=JobStatus.FAILED), generation=2)
    kept = moved(OTHER_ID, DEAD_JOB, TaskState.DONE, TaskState.DONE, token=0)
    kept = msgspec.structs.replace(kept, operation="INSERT", kind=TaskKind.CHUNK, generation=2)
    assert broken(changes=with_changes(redrive, kept)) == set()


@pytest.mark.parametrize("leftover", Leftovers.__struct_fields__)
def test_i6_anything_left_over(leftover: str) -> None:
    assert broken(leftovers=Leftovers(**{leftover: ("something",)})) == {"I6"}


def test_i7_stored_bytes_that_differ_from_the_upload() -> None:
    assert "I7" in broken(blobs=healthy().blobs | {f"jobs/{JOB}/source": "others"})


def test_i7_missing_bytes() -> None:
    assert "I7" in broken(blobs={})


def test_i7_a_rejected_upload_with_a_row() -> None:
    assert "I7" in broken(attempts=with_attempt(status=507, job_id=None))


@pytest.mark.parametrize("status", [None, 503])
def test_i7_an_upload_with_an_unknown_outcome_may_have_a_row(status: int | None) -> None:
    assert broken(attempts=with_attempt(status=status, job_id=None)) == set()


def test_i7_blobs_of_no_job() -> None:
    assert "I7" in broken(blobs=healthy().blobs | {f"jobs/{OTHER_ID}/source": "orphan"})


def test_i7_blobs_of_an_erased_job() -> None:
    erased = msgspec.structs.replace(job_row(JOB, JobStatus.COMPLETED), erased_at=NOON)
    assert "I7" in broken(jobs=healthy().jobs | {JOB: erased})


def test_i8_a_dead_task_that_is_not_in_redis() -> None:
    assert "I8" in broken(dead_in_redis=())


def test_i8_a_dead_letter_that_is_in_redis_twice() -> None:
    assert "I8" in broken(dead_in_redis=(dead_letter(), dead_letter()))


def test_i8_a_dead_letter_without_a_dead_task() -> None:
    other = DeadTask(job_id=str(JOB), generation=1, task_kind="chunk", ordinal=3)
    assert "I8" in broken(dead_in_redis=(dead_letter(), other))


def test_i8_a_dismissed_task_with_a_dead_letter() -> None:
    dismissed = msgspec.structs.replace(healthy().tasks[-1], dismissed_at=NOON)
    assert "I8" in broken(tasks=(*healthy().tasks[:-1], dismissed))


def test_i9_a_row_of_another_tenant() -> None:
    assert broken(foreign_rows_shown=("/v1/jobs",)) == {"I9"}


def with_attempt(*, status: int | None, job_id: str | None) -> tuple[Attempt, ...]:
    """Return the healthy attempts, with another answer to the first."""
    first = attempt(JOB, JobStatus.COMPLETED, webhook="ok/0")
    return (msgspec.structs.replace(first, status=status, job_id=job_id), *healthy().attempts[1:])


def with_changes(*more: Change) -> tuple[Change, ...]:
    return numbered(*healthy().changes, *more)


def reclaimed() -> tuple[Change, ...]:
    """Return the changes of a task that was rescued from WORKER and claimed by OTHER_WORKER."""
    late = NOON + dt.timedelta(seconds=4)
    rescue = moved(OTHER_ID, JOB, TaskState.RUNNING, TaskState.DISPATCHED, who=OTHER_WORKER)
    return (
        claimed(OTHER_ID, JOB, WORKER),
        msgspec.structs.replace(rescue, at=late),
        claimed(OTHER_ID, JOB, OTHER_WORKER, token=2),
    )


def poisoned(lives: tuple[str, ...]) -> dict[str, object]:
    """Return facts of a job that FAILED as poison, whose task was claimed by these processes."""
    dead = msgspec.structs.replace(
        task_row(OTHER_ID, JOB, TaskKind.CHUNK, TaskState.DEAD), code=FailureCode.POISON, dismissed_at=NOON
    )
    claims = [claimed(OTHER_ID, JOB, who, token=number) for number, who in enumerate(lives, 1)]
    jobs: dict[UUID, JobRow] = healthy().jobs | {JOB: job_row(JOB, JobStatus.FAILED)}
    tasks: tuple[TaskRow, ...] = (*healthy().tasks, dead)
    return {"jobs": jobs, "tasks": tasks, "changes": with_changes(*claims)}
