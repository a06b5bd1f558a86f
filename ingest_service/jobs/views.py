"""Makes the client's view of a job out of a row of `read_jobs`. Pure; runs no SQL."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from ingest_service.jobs.queue_lines import Place, place_among
from ingest_service.jobs.wait_estimate import Queue, estimated_wait_s
from shared.schemas.api import AudioFacts, JobView, Links, ProblemInJob
from shared.schemas.states import JobStatus, Stage
from shared.schemas.transcript import ResultWarning

CHUNKS_BEGIN_AT = 0.1  # of a long file's progress: preparing it
CHUNKS_SHARE = 0.85  # transcribing its chunks; the rest is finishing


def show_job(row: Mapping[str, Any], queue: Queue | None) -> JobView:
    """The job as the API returns it; the queue is there if it stands in it."""
    status = JobStatus(row["status"])
    place = place_of(row, queue)
    return JobView(
        job_id=str(row["id"]),
        status=status,
        stage=Stage(row["stage"]),
        progress=progress(row),
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        queue_position=place.position if place else None,
        estimated_wait_s=estimated_wait_s(queue.pace, place.bytes_ahead) if queue and place else None,
        audio=audio_facts(row),
        attempts=attempts(row),
        next_attempt_at=next_attempt_at(row),
        warnings=msgspec.json.decode(row["warnings"], type=tuple[ResultWarning, ...]),
        error=error_of(row),
        metadata=None if row["metadata"] is None else msgspec.Raw(row["metadata"].encode()),
        links=Links.of(row["id"]),
    )


def place_of(row: Mapping[str, Any], queue: Queue | None) -> Place | None:
    """Where the job stands in the queue, if it does."""
    if queue is None or row["jobs_ahead"] is None:
        return None
    return place_among(queue.lines, row["tenant"], row["jobs_ahead"], float(row["bytes_ahead"]))


def progress(row: Mapping[str, Any]) -> float:
    """From 0 to 1: by the chunks when there are several, else by the one task that does it all."""
    if row["status"] == JobStatus.COMPLETED:
        return 1.0
    if row["status"] == JobStatus.QUEUED:
        return 0.0
    if row["chunk_count"] > 1:
        return round(CHUNKS_BEGIN_AT + CHUNKS_SHARE * float(row["chunk_progress"] or 0), 3)
    return round(float(row["prepare_progress"] or 0), 3)


def attempts(row: Mapping[str, Any]) -> int:
    """How often the task that was attempted most was begun."""
    return 0 if row["status"] == JobStatus.QUEUED or row["started_at"] is None else max(1, row["attempts_begun"] or 0)


def next_attempt_at(row: Mapping[str, Any]) -> dt.datetime | None:
    """When the job's work goes on, while one of its tasks waits."""
    at: dt.datetime | None = row["next_attempt_at"]
    return at if row["status"] == JobStatus.PROCESSING else None


def audio_facts(row: Mapping[str, Any]) -> AudioFacts:
    """What is known of the source; of one that is still to be fetched, nothing."""
    return AudioFacts(
        duration=row["duration_s"],
        sample_rate=row["sample_rate_hz"],
        channels=row["channels"],
        format=row["container"],
        bytes=row["source_bytes"],
        sha256=row["source_sha256"],
    )


def error_of(row: Mapping[str, Any]) -> ProblemInJob | None:
    """Why the job failed, if it did."""
    code = row["error_code"]
    return ProblemInJob(code=code, message=row["error_message"] or "") if code else None
