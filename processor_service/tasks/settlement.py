"""Decides what an outcome writes: one statement and its parameters. `settle` executes it."""

from uuid import UUID

import msgspec

from processor_service.errors import LeaseLostError
from processor_service.tasks import outcomes
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import Crashed, Outcome
from processor_service.tasks.retry import MAX_CRASHES, GiveUp, RetryPolicy, decide, is_poison
from processor_service.tasks.settlement_statements import (
    COMPLETE_ATTEMPT,
    COMPLETE_ENDPOINT_ATTEMPT,
    COUNT_CHUNK,
    END_JOB,
    END_JOB_THEN_RESULTS,
    FETCH,
    LEAVE,
    SPLIT,
    SUMMARIZE,
)
from shared.ids import new_task_id
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.api import ProblemInJob
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import JobStatus, Stage, TaskKind, TaskState
from shared.schemas.summary import SummaryInput
from shared.schemas.transcript import ResultWarning, WarningCode
from shared.schemas.webhook_events import DeliveryInput, EventType, event_id, event_template


class Leaving(msgspec.Struct, frozen=True):
    """How a task stops running: the parameters of LEFT."""

    state: TaskState
    failure: Failure | None = None
    attempts: int = 0  # to add
    crashes: int = 0  # to add
    wait_s: float | None = None
    engine: str = ""
    model: str = ""
    as_new: bool = False  # the next attempt counts as the first


class Settlement(msgspec.Struct, frozen=True):
    """A statement, its parameters after those of LEFT, and what follows if the statement says so."""

    leaving: Leaving
    statement: str = LEAVE
    facts: tuple[object, ...] = ()
    dispatches: tuple[Dispatch, ...] = ()

    @property
    def fails_job(self) -> bool:
        return self.statement == END_JOB and self.leaving.state is TaskState.DEAD


def settlement_of(task: ClaimedTask, outcome: Outcome, policy: RetryPolicy) -> Settlement:  # noqa: C901, PLR0911, PLR0912 - one return an outcome
    """Decide what an outcome writes."""
    match outcome:
        case outcomes.Fetched():
            return _fetched(task, outcome)
        case outcomes.Split():
            return _split(task, outcome)
        case outcomes.ChunkDone(engine, model):
            return _chunk_done(task, Leaving(TaskState.DONE, engine=engine, model=model))
        case outcomes.Transcribed(done):
            return _transcribed(task, done)
        case outcomes.JobDone():
            return _completed(task, outcome, Leaving(TaskState.DONE, engine=outcome.engine, model=outcome.model))
        case outcomes.Delivered(attempt):
            return _attempted(Leaving(TaskState.DONE), attempt)
        case outcomes.Dropped():
            return Settlement(Leaving(TaskState.DONE))
        case outcomes.NotDelivered(attempt, failure):
            return _attempted(_failed(task, failure, policy).leaving, attempt)
        case outcomes.Postponed(wait_s):
            return Settlement(Leaving(TaskState.WAITING, wait_s=wait_s))
        case outcomes.StorageFull(failure):
            return Settlement(Leaving(TaskState.WAITING, failure, wait_s=policy.full_disk_wait_s))
        case outcomes.Failed(failure):
            return _failed(task, failure, policy)
        case Crashed(message):
            return _crashed(task, message)
        case outcomes.Interrupted():
            return Settlement(Leaving(TaskState.DISPATCHED), dispatches=(_again(task),))
        case outcomes.LeaseLost():
            raise LeaseLostError


def _fetched(task: ClaimedTask, source: outcomes.Fetched) -> Settlement:
    """The compute stage has attempts of its own."""
    leaving = Leaving(TaskState.DISPATCHED, attempts=-task.attempts, crashes=-task.crashes, as_new=True)
    cost = cost_s(TaskKind.PREPARE, source_bytes=source.bytes, container=source.container)
    prepare = _new_dispatch(task, task.id, TaskKind.PREPARE, cost)
    return Settlement(leaving, FETCH, (source.container, source.bytes, source.sha256), (prepare,))


def _split(task: ClaimedTask, outcome: outcomes.Split) -> Settlement:
    ids, inputs = [new_task_id(task.job_id) for _ in outcome.chunks], [as_json(chunk) for chunk in outcome.chunks]
    cost = cost_s(TaskKind.CHUNK, duration_s=outcome.duration_s, chunk_count=len(ids))
    return Settlement(
        Leaving(TaskState.DONE),
        SPLIT,
        (task.generation, ids, inputs, as_json(outcome.warnings), _codes_of(outcome.warnings)),
        tuple(_new_dispatch(task, one, TaskKind.CHUNK, cost) for one in ids),
    )


def _chunk_done(task: ClaimedTask, leaving: Leaving) -> Settlement:
    finish_id = new_task_id(task.job_id)
    finish = _new_dispatch(task, finish_id, TaskKind.FINISH)
    return Settlement(leaving, COUNT_CHUNK, (task.generation, finish_id), (finish,))


def _transcribed(task: ClaimedTask, done: outcomes.JobDone) -> Settlement:
    summarize_id = new_task_id(task.job_id)
    return Settlement(
        Leaving(TaskState.DONE, engine=done.engine, model=done.model),
        SUMMARIZE,
        (
            task.generation,
            as_json(done.warnings),
            _codes_of(done.warnings),
            summarize_id,
            as_json(SummaryInput(speakers=done.speakers)),
        ),
        (_new_dispatch(task, summarize_id, TaskKind.SUMMARIZE),),
    )


def _completed(task: ClaimedTask, done: outcomes.JobDone, leaving: Leaving) -> Settlement:
    facts, delivery = end_job(task, JobStatus.COMPLETED, done=done)
    statement = END_JOB_THEN_RESULTS if task.options.results_formats else END_JOB
    return Settlement(leaving, statement, facts, (delivery,))


def _attempted(leaving: Leaving, attempt: outcomes.DeliveryAttempt) -> Settlement:
    facts = attempt.id, attempt.duration_ms, attempt.status, attempt.error, attempt.answer
    if attempt.endpoint is None:
        return Settlement(leaving, COMPLETE_ATTEMPT, facts)
    health = attempt.endpoint
    of_endpoint = health.id, health.is_delivered, health.is_gone, health.pause_after_s, health.reason
    return Settlement(leaving, COMPLETE_ENDPOINT_ATTEMPT, (*facts, *of_endpoint))


def end_job(
    task: ClaimedTask,
    status: JobStatus,
    *,
    failure: Failure | None = None,
    done: outcomes.JobDone | None = None,
) -> tuple[tuple[object, ...], Dispatch]:
    """Return the parameters of ENDED, and the dispatch of a delivery: `settle` makes one of it for each target."""
    event_type = EventType.of(status)
    identifier = event_id(task.job_id, task.generation, event_type)
    error = ProblemInJob(code=failure.code, message=failure.message) if failure else None
    delivery = _new_dispatch(task, new_task_id(task.job_id), TaskKind.DELIVER)
    facts = (
        task.generation,
        status,
        failure.code if failure else None,
        failure.message if failure else None,
        Stage.FINISH if status is JobStatus.COMPLETED else None,
        None if done is None else as_json(done.warnings),
        None if done is None else _codes_of(done.warnings),
        (done.speakers or None) if done else None,
        identifier,
        event_type,
        *event_template(task.job_id, status, error=error, made=done.made if done else ()),
        delivery.task_id,
        as_json(DeliveryInput(event_id=identifier)),
    )
    return facts, delivery


def _failed(task: ClaimedTask, failure: Failure, policy: RetryPolicy) -> Settlement:
    decision = decide(failure, failed_attempts=task.attempts + 1, policy=policy)
    if isinstance(decision, GiveUp):
        return _dead(task, Leaving(TaskState.DEAD, failure, attempts=1))
    return Settlement(Leaving(TaskState.WAITING, failure, attempts=1, wait_s=decision.wait_s))


def _crashed(task: ClaimedTask, message: str) -> Settlement:
    failure = Failure(
        code=FailureCode.POISON,
        message=f"The process crashed or exceeded its time or memory {MAX_CRASHES} times.",
        traceback=message,
    )
    if is_poison(task.crashes + 1):
        return _dead(task, Leaving(TaskState.DEAD, failure, crashes=1))
    return Settlement(Leaving(TaskState.DISPATCHED, failure, crashes=1), dispatches=(_again(task),))


def _dead(task: ClaimedTask, leaving: Leaving) -> Settlement:
    """Fail the job of a dead task. A failed delivery does not fail the job, and one without a summary is complete."""
    if task.kind is TaskKind.DELIVER:
        return Settlement(leaving)
    if task.kind is TaskKind.SUMMARIZE:
        return _unsummarized(task, leaving)
    facts, delivery = end_job(task, JobStatus.FAILED, failure=leaving.failure)
    return Settlement(leaving, END_JOB, facts, (delivery,))


def _unsummarized(task: ClaimedTask, leaving: Leaving) -> Settlement:
    """Complete a job whose summarize task cannot even store its transcript with a warning: the row has the warning."""
    summary = msgspec.json.decode(task.input or b"{}", type=SummaryInput)
    message = "What was requested about the text could not be made."
    warning = ResultWarning(code=WarningCode.SUMMARY_UNAVAILABLE, message=message)
    done = outcomes.JobDone((*task.warnings, warning), speakers=summary.speakers)
    return _completed(task, done, msgspec.structs.replace(leaving, state=TaskState.DONE))


def _again(task: ClaimedTask) -> Dispatch:
    """Return the next dispatch of the same task; `_after_commit` sets its number."""
    return Dispatch(
        task.id,
        0,
        task.kind,
        task.tenant,
        has_begun=True,
        to_fetch=task.to_fetch,
        interactive=task.interactive,
        queue_name=task.queue,
    )


def _new_dispatch(parent: ClaimedTask, task_id: UUID, kind: TaskKind, cost: int | None = None) -> Dispatch:
    """Return the first dispatch of a task of the same job."""
    cost = cost_s(kind) if cost is None else cost
    return Dispatch(task_id, 1, kind, parent.tenant, cost, interactive=parent.interactive, queue_name=parent.queue)


def _codes_of(warnings: tuple[ResultWarning, ...]) -> list[str]:
    """Return the codes of warnings, each once, by which lists filter."""
    return sorted({warning.code for warning in warnings})


def as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
