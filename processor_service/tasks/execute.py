"""Executes one attempt: claim, run the stage under lease, settle, publish. arq calls it for each dispatch.

Nothing here raises an exception to arq: the outcome in the database decides what follows.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from redis.exceptions import RedisError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from processor_service.audio.write_chunks import PreparedAudio
from processor_service.compute.pool import Slot
from processor_service.database import DATABASE_ERRORS
from processor_service.errors import LeaseLostError
from processor_service.maintenance.loop import run_locked
from processor_service.stages.chunk import chunk
from processor_service.stages.finish import finish
from processor_service.stages.prepare import prepare
from processor_service.stages.voice_store import VoiceStore
from processor_service.stages.work import Work
from processor_service.tasks.claim import ClaimedTask, claim
from processor_service.tasks.drop_blobs import drop_unread, return_space
from processor_service.tasks.outcomes import (
    Crashed,
    Fetched,
    Interrupted,
    JobDone,
    LeaseLost,
    Outcome,
    StorageFull,
    Transcribed,
)
from processor_service.tasks.processor import Processor
from processor_service.tasks.record_passages import record_passages
from processor_service.tasks.settle import AfterCommit, settle
from processor_service.telemetry.metrics import LEASE_LOST, UNSETTLED, WEBHOOK_PAUSES, count_lost, count_settled
from processor_service.telemetry.traces import attempt_traced
from processor_service.webhooks.deliver import deliver
from shared.failpoints import failpoint
from shared.queue.dispatch import compute_queue
from shared.queue.enqueue import enqueue_of_job
from shared.queue.fair_shares import correct_cost
from shared.schemas.states import TaskKind
from shared.telemetry import logs

log = logs.Log(__name__)

DEAD_LETTERS = "dead_letters"  # the name of that maintenance loop
STAGES = {TaskKind.PREPARE: prepare, TaskKind.CHUNK: chunk, TaskKind.FINISH: finish}


async def run_compute_task(context: dict[str, Any], task_id: str, dispatch_no: int) -> None:
    """Run a prepare, chunk or finish task. Claim it only when a warm child is free."""
    processor: Processor = context["processor"]
    async with processor.compute.slot() as slot:
        if task := await _claim(processor, task_id, dispatch_no):
            with _attempt_context(processor, task):
                # An earlier version enqueues a task of an `audio_url` here: it returns to the queue for fetches.
                outcome = Interrupted() if task.to_fetch else await _compute(processor, task, slot)
                await _conclude(processor, task, outcome)


async def run_fetch(context: dict[str, Any], task_id: str, dispatch_no: int) -> None:
    """Fetch the source of a prepare task, without a compute slot. Then the task returns to the queue."""
    processor: Processor = context["processor"]
    if task := await _claim(processor, task_id, dispatch_no):
        with _attempt_context(processor, task):
            await _conclude(processor, task, await _fetch(processor, task))


async def _fetch(processor: Processor, task: ClaimedTask) -> Outcome:
    if not task.to_fetch:
        return Interrupted()  # another attempt stored the source: what is left needs a compute slot
    return await processor.leases.hold(task, processor.sources.fetch(task))


async def run_summary(context: dict[str, Any], task_id: str, dispatch_no: int) -> None:
    """Run a summarize task, without a compute slot."""
    processor: Processor = context["processor"]
    if task := await _claim(processor, task_id, dispatch_no):
        with _attempt_context(processor, task):
            stage = processor.summaries.summarize(task, processor.policy(task.kind))
            await _conclude(processor, task, await processor.leases.hold(task, stage))


async def run_delivery(context: dict[str, Any], task_id: str, dispatch_no: int) -> None:
    """Run a deliver task."""
    processor: Processor = context["processor"]
    if task := await _claim(processor, task_id, dispatch_no):
        with _attempt_context(processor, task):
            stage = deliver(task, processor.database, processor.http, processor.settings, processor.blobs)
            await _conclude(processor, task, await processor.leases.hold(task, stage))


@contextlib.contextmanager
def _attempt_context(processor: Processor, task: ClaimedTask) -> Iterator[None]:
    """Bind task, job and tenant to every log event of an attempt, and trace it as a span of the job's trace."""
    attributes: dict[str, str | int] = {
        "headrace.task_id": str(task.id),
        "headrace.ordinal": task.ordinal,
        "headrace.failed_attempts": task.attempts,
        "headrace.worker": processor.name,
    }
    with (
        logs.bound(task_id=task.id, task=f"{task.kind}/{task.ordinal}", job_id=task.job_id, tenant=task.tenant),
        attempt_traced(task.job_id, task.kind, attributes),
    ):
        yield


async def _claim(processor: Processor, task_id: str, dispatch_no: int) -> ClaimedTask | None:
    """Claim a task; None also when the database is unavailable: the task stays dispatched, and is reconciled later."""
    try:
        task = await claim(
            processor.database, UUID(task_id), dispatch_no, worker=processor.name, lease_s=processor.settings.lease_s
        )
    except DATABASE_ERRORS as error:
        log.warning("claim_failed", task_id=task_id, error=f"{type(error).__name__}: {error}")
        return None
    _hint(processor, task)
    return task


def _hint(processor: Processor, task: ClaimedTask | None) -> None:
    """Publish that the job of a task has changed. Deliveries do not change it."""
    if task and task.kind is not TaskKind.DELIVER:
        processor.hints.changed(task.job_id, task.tenant)


async def _compute(processor: Processor, task: ClaimedTask, slot: Slot) -> Outcome:
    with processor.scratch.task_folder() as scratch:
        work = Work(
            task=task,
            slot=slot,
            blobs=processor.blobs,
            models=processor.models,
            settings=processor.settings,
            providers=processor.providers,
            voices=VoiceStore(processor.database, task.tenant),
            scratch=scratch,
            record_sha256=lambda sha256: processor.leases.record_sha256(task, sha256),
            record_passages=lambda passages: record_passages(processor.database, task, passages),
            record_audio=lambda audio: _record_audio(processor, task, audio),
            publish_window=lambda window: processor.windows.of(task.tenant).publish(task.job_id, window),
            report_progress=lambda fraction: processor.leases.report(task, fraction),
        )
        return _to_summarize(task, await processor.leases.hold(task, STAGES[task.kind](work)))


def _to_summarize(task: ClaimedTask, outcome: Outcome) -> Outcome:
    """Continue with chat providers if the client wants it. Speakers that are found again change no summary."""
    if isinstance(outcome, JobDone) and task.options.wants_summary and task.text_generation is None:
        return Transcribed(outcome)
    return outcome


async def _record_audio(processor: Processor, task: ClaimedTask, audio: PreparedAudio) -> None:
    """Record the facts of decoded audio, and correct the tenant's share of the queue, which was guessed from bytes.

    The correction also publishes that the job has changed: it has a duration.
    """
    late_s = await processor.leases.record_audio(task, audio)
    if not late_s:
        _hint(processor, task)
        return
    correct = partial(
        correct_cost,
        queue=compute_queue(task.queue),
        tenant=task.tenant,
        late_s=late_s,
        interactive=task.interactive,
        changed={task.job_id: task.tenant},
    )
    try:
        await processor.redis.of(task.tenant).ask(correct)
    except (RedisError, OSError) as error:  # the share stays as it was guessed
        log.warning("cost_not_corrected", error=f"{type(error).__name__}: {error}")


async def _conclude(processor: Processor, task: ClaimedTask, outcome: Outcome) -> None:
    """Commit the outcome, then do what follows the commit."""
    if isinstance(outcome, StorageFull) and task.kind is TaskKind.PREPARE:
        await return_space(processor.leases, processor.blobs, task)
    try:
        after_commit = await _settle(processor, task, outcome)
    except LeaseLostError:
        count_lost(task.kind, LEASE_LOST)
        log.warning("lease_lost")
        return
    except DATABASE_ERRORS as error:
        # The lease expires, and maintenance rescues the task.
        count_lost(task.kind, UNSETTLED)
        log.error("settle_failed", error=f"{type(error).__name__}: {error}")
        return
    if after_commit.endpoint_is_paused:
        WEBHOOK_PAUSES.inc()
        log.warning("webhook_endpoint_paused")
    if after_commit.due_in_s is not None:
        processor.due.add(after_commit.due_in_s)
    count_settled(task.kind, outcome, has_dead_letter=after_commit.has_dead_letter)
    _log_outcome(task, outcome)
    await _publish(processor, task, after_commit)
    if isinstance(outcome, JobDone) and task.options.results_formats:
        processor.results.begin(task.job_id)
    has_failed = after_commit.has_dead_letter
    await drop_unread(processor.database, processor.blobs, task, outcome, has_failed=has_failed)


@retry(
    retry=retry_if_exception_type(DATABASE_ERRORS),
    wait=wait_exponential(multiplier=0.1, max=2),
    stop=stop_after_delay(10),
    reraise=True,
)
async def _settle(processor: Processor, task: ClaimedTask, outcome: Outcome) -> AfterCommit:
    return await settle(processor.database, task, outcome, policy=processor.policy(task.kind))


async def _publish(processor: Processor, task: ClaimedTask, after_commit: AfterCommit) -> None:
    """Write dispatches and dead letters to Redis. When Redis is unavailable, maintenance writes them later.

    Publish that the job has changed: with its dispatches if there are some, else in the background.
    """
    if not after_commit.dispatches:
        _hint(processor, task)
    try:
        failpoint("publish.before")
        await enqueue_of_job(processor.redis, after_commit.dispatches, task.job_id, task.tenant)
        if after_commit.has_dead_letter:
            await run_locked(processor.database, DEAD_LETTERS, processor.dead_letters)
        failpoint("publish.after")
    except (RedisError, *DATABASE_ERRORS) as error:
        log.warning("publish_failed", error=f"{type(error).__name__}: {error}")


def _log_outcome(task: ClaimedTask, outcome: Outcome) -> None:
    name = type(outcome).__name__.lower()
    failure = getattr(outcome, "failure", None)
    if failure:
        log.warning("task_failed", attempt=task.attempts + 1, code=failure.code, transient=failure.transient)
        if failure.traceback and failure.code == "internal":
            log.error("internal_error", traceback=failure.traceback)
    elif isinstance(outcome, Crashed):
        log.warning("task_crashed", crash=task.crashes + 1, error=outcome.message.partition("\n")[0])
    elif isinstance(outcome, Interrupted):
        log.info("task_returned_to_queue")
    elif isinstance(outcome, Fetched):
        log.info("source_fetched", container=outcome.container, bytes=outcome.bytes)
    elif not isinstance(outcome, LeaseLost):
        log.info("task_done", outcome=name)
