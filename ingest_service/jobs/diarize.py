"""Find the speakers of a finished job again: a new generation that keeps the text of an earlier one.

Until it is COMPLETED, clients get the transcript that the job had; also if it fails or is cancelled.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.results import NOT_READY
from ingest_service.jobs.rows import LockedJob, NewTask, has_ended, insert_tasks, locked_job, results_generation
from ingest_service.quotas.quotas import QuotaGate, Wanted
from ingest_service.uploads.notify import DispatchNotifier
from ingest_service.uploads.parse_options import OptionCollector
from shared.queue.dispatch import Dispatch
from shared.schemas.options import SPEAKER_OPTIONS, JobOptions
from shared.schemas.states import JobStatus, TaskKind
from shared.telemetry.logs import Log

log = Log(__name__)

# The text is that of the generation that transcribed, so that repeated diarization starts from the same segments.
REOPEN_JOB = """
    UPDATE jobs SET status = 'QUEUED', generation = generation + 1, stage = 'prepare', options = $3,
        text_generation = coalesce(text_generation, generation), results_generation = $4,
        chunk_count = 0, chunks_done = 0, chunk_generation = NULL,
        error_code = NULL, error_message = NULL, started_at = NULL, completed_at = NULL
    WHERE id = $1 AND generation = $2 AND status IN ('COMPLETED', 'FAILED', 'CANCELLED')
    RETURNING generation
"""
DISMISS = """
    UPDATE tasks SET dismissed_at = now() WHERE job_id = $1 AND id IN (
        SELECT id FROM tasks
        WHERE job_id = $1 AND state = 'dead' AND kind <> 'deliver' AND dismissed_at IS NULL ORDER BY id FOR UPDATE)
"""


def read_speaker_options(query: Iterable[tuple[str, str]], body: bytes) -> JobOptions:
    """The options of speakers from a query and a JSON object, both optional. Raise RefusedError `invalid_option`."""
    collector = OptionCollector(only=SPEAKER_OPTIONS, diarize=True)
    for name, text in query:
        collector.add(name, text)
    if body.strip():
        collector.add_json(body)
    return collector.options().job_options()


async def diarize_job(  # noqa: PLR0913, PLR0917 - what the transaction needs
    database: Database, notifier: DispatchNotifier, quotas: QuotaGate, tenant: str, job_id: str, wanted: JobOptions
) -> JobStatus:
    """Queue a job that has a transcript, to find its speakers again. Return its status.

    A repeat with the same options, while that is going on, changes nothing. Raise RefusedError `not_found`,
    `not_ended`, `audio_erased`, …, LimitError and OutageError.
    """
    dispatches: tuple[Dispatch, ...] = ()
    async with locked_job(database, tenant, job_id) as locked:
        options = _options(locked.job, wanted)
        status = JobStatus(locked.job["status"])
        if not _is_under_way(locked.job, options):
            _require_results(locked.job)
            await quotas.require(locked.connection, Wanted(tenant, 0))
            dispatches, status = await _reopen(locked, options), JobStatus.QUEUED
    notifier.notify_soon(*dispatches)
    notifier.job_changed(locked.job["id"], tenant)
    log.info("diarization_queued", job_id=job_id, again=not dispatches)
    return status


def _options(job: Any, wanted: JobOptions) -> JobOptions:
    """The job's options with other options of speakers; those that are not given are unset."""
    before = msgspec.json.decode(job["options"], type=JobOptions)
    if before.channels == "separate" and job["channels"] != 1:
        detail = "`channels` is `separate`: each channel of this job is a speaker already."
        raise RefusedError("invalid_option", detail)
    speakers = {name: getattr(wanted, name) for name in SPEAKER_OPTIONS}
    return msgspec.structs.replace(before, diarize=True, **speakers)


def _is_under_way(job: Any, options: JobOptions) -> bool:
    is_diarized = job["text_generation"] is not None and not has_ended(job)
    return is_diarized and msgspec.json.decode(job["options"], type=JobOptions) == options


def _require_results(job: Any) -> None:
    """Raise RefusedError unless the job has ended, with a transcript, and its audio is stored."""
    if not has_ended(job):
        raise RefusedError(
            "not_ended", f"The job is {job['status']}. Its speakers can be found again when it has ended."
        )
    if results_generation(job) is None:
        raise RefusedError(NOT_READY[JobStatus(job["status"])], f"The job is {job['status']} and has no transcript.")
    if job["audio_erased_at"] is not None:
        raise RefusedError("audio_erased", "The audio of this job was erased. Submit the audio again.")


async def _reopen(locked: LockedJob, options: JobOptions) -> tuple[Dispatch, ...]:
    connection, job = locked
    options_json = msgspec.json.encode(options).decode()
    columns = job["id"], job["generation"], options_json, results_generation(job)
    generation = await connection.fetchval(REOPEN_JOB, *columns)
    await connection.execute(DISMISS, job["id"])
    return await insert_tasks(connection, job, generation, [NewTask(TaskKind.PREPARE)])
