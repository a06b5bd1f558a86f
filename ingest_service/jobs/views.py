"""Makes the client's view of a job out of a row of `read_jobs`. Pure; runs no SQL."""

import base64
import binascii
import datetime as dt
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from ingest_service.errors import RefusedError
from ingest_service.jobs.wait_estimate import Place, Queue, estimated_wait_s, place_among
from shared.schemas.api import AudioFacts, JobEvent, JobView, Links, ProblemInJob
from shared.schemas.states import JOB_TERMINAL, JobStatus, Stage
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


# What the listeners of a job are told: its state at a moment, the event made of it, and the SQL that reads many.

# Tasks are looked at only where they tell something: a queue of thousands costs a look at each job's row.
STATES = """
    SELECT jobs.tenant, jobs.id, status, stage, generation, chunk_count, chunks_done, erased_at, work.*
    FROM unnest($1::text[], $2::uuid[]) AS wanted (tenant, id) JOIN jobs USING (tenant, id)
    CROSS JOIN LATERAL (
        SELECT avg(CASE WHEN state = 'done' THEN 1 ELSE progress END) FILTER (WHERE kind = 'chunk') AS chunk_progress,
               max(progress) FILTER (WHERE kind = 'prepare') AS prepare_progress
        FROM tasks
        WHERE job_id = jobs.id AND generation = jobs.generation AND kind IN ('prepare', 'chunk')
            AND jobs.status IN ('PROCESSING', 'FAILED', 'CANCELLED')
    ) AS work
"""


class JobKey(NamedTuple):
    """Names a job of a tenant; another tenant's is not there."""

    tenant: str
    job_id: UUID


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """All that an event tells. Two equal states are one event."""

    generation: int
    status: JobStatus
    stage: Stage
    progress: float
    chunk_count: int
    chunks_done: int
    is_erased: bool

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.status in JOB_TERMINAL

    @property
    def event_id(self) -> str:
        """Names the state, so that who comes back with it is told only what is new."""
        per_mille = round(self.progress * 1000)
        return f"{self.generation}-{self.status}-{self.stage}-{per_mille}-{self.chunks_done}.{self.chunk_count}"


def key_of(row: Mapping[str, Any]) -> JobKey:
    """The key in a row of STATES."""
    return JobKey(row["tenant"], row["id"])


def state_of(row: Mapping[str, Any]) -> JobState:
    """The state in a row of STATES."""
    return JobState(
        generation=row["generation"],
        status=JobStatus(row["status"]),
        stage=Stage(row["stage"]),
        progress=progress(row),
        chunk_count=row["chunk_count"],
        chunks_done=row["chunks_done"],
        is_erased=row["erased_at"] is not None,
    )


def event(job_id: UUID, state: JobState) -> bytes:
    """A server-sent event, without a name: `onmessage` of an EventSource gets it."""
    data = JobEvent(
        job_id=str(job_id),
        status=state.status,
        stage=state.stage,
        progress=state.progress,
        chunks_done=state.chunks_done,
        chunk_count=state.chunk_count,
    )
    return b"id: %b\ndata: %b\n\n" % (state.event_id.encode(), msgspec.json.encode(data))


# The opaque cursors of the lists: where the last item shown stands, so that the next page starts behind it.

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
DEAD_LETTER_POSITION = struct.Struct(">q16s")
JOB_CURSOR = "^[A-Za-z0-9_-]{21}[AQgw]$"  # 16 bytes; the last letter stands for two bits
DEAD_LETTER_CURSOR = "^A[A-Za-z0-3][A-Za-z0-9_-]{30}$"  # 24 bytes, the first of them a time from 1970 to 9999


class DeadLetterPosition(NamedTuple):
    """Where a dead letter stands in the list of them."""

    died_at: dt.datetime
    task_id: UUID


def encode_cursor(last_id: UUID) -> str:
    """The cursor behind a job."""
    return _encode(last_id.bytes)


def decode_cursor(cursor: str) -> UUID:
    """The id in a cursor; RefusedError `invalid_parameter` for anything that we did not make."""
    try:
        return UUID(bytes=_decode(cursor))
    except ValueError:
        raise _not_ours() from None


def encode_dead_letter_cursor(place: DeadLetterPosition) -> str:
    """The cursor behind a dead letter."""
    return _encode(DEAD_LETTER_POSITION.pack((place.died_at - EPOCH) // MICROSECOND, place.task_id.bytes))


def decode_dead_letter_cursor(cursor: str) -> DeadLetterPosition:
    """The place in a cursor; RefusedError `invalid_parameter` for anything that we did not make."""
    try:
        microseconds, task_id = DEAD_LETTER_POSITION.unpack(_decode(cursor))
        return DeadLetterPosition(EPOCH + microseconds * MICROSECOND, UUID(bytes=task_id))
    except (struct.error, OverflowError):
        raise _not_ours() from None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(cursor: str) -> bytes:
    try:
        data = base64.b64decode(cursor + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _not_ours() from None
    if _encode(data) != cursor:
        raise _not_ours()
    return data


def _not_ours() -> RefusedError:
    return RefusedError("invalid_parameter", "`cursor` is none that this service gave.")
