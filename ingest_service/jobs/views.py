"""Make the client's views of a job from rows: the job, its state for events, and the cursors of lists. Pure."""

import base64
import binascii
import datetime as dt
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from ingest_service.errors import RefusedError
from ingest_service.jobs.wait_estimate import Queue, estimated_wait_s
from shared.queue.backlogs import QueuePosition
from shared.schemas.api import AudioFacts, JobEvent, JobView, Links, OptionValue, ProblemInJob, ResultWrite
from shared.schemas.audio_tracks import AudioTrack
from shared.schemas.options import INTERNAL_OPTIONS
from shared.schemas.states import JOB_TERMINAL, JobStatus, Stage
from shared.schemas.transcript import ResultWarning

CHUNKS_BEGIN_AT = 0.1  # of a long file's progress; before it, the file is prepared
CHUNKS_SHARE = 0.85  # of the progress; after it, the result is assembled


def show_job(row: Mapping[str, Any], queue: Queue | None, writes: tuple[ResultWrite, ...] = ()) -> JobView:
    """Return the API's view of a job. `queue`: the one in which it waits, if it is queued."""
    status = JobStatus(row["status"])
    position = position_of(row, queue)
    return JobView(
        job_id=str(row["id"]),
        filename=row["filename"],
        status=status,
        stage=Stage(row["stage"]),
        progress=progress(row),
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        queue_position=position.position if position else None,
        estimated_wait_s=wait_of(row, queue, position),
        audio=audio_facts(row),
        attempts=attempts(row),
        next_attempt_at=next_attempt_at(row),
        warnings=msgspec.json.decode(row["warnings"], type=tuple[ResultWarning, ...]),
        error=error_of(row),
        options=options_of(row),
        metadata=None if row["metadata"] is None else msgspec.Raw(row["metadata"].encode()),
        links=Links.of(row["id"]),
        speakers=row["speakers"],
        results=writes,
    )


def position_of(row: Mapping[str, Any], queue: Queue | None) -> QueuePosition | None:
    """Return a queued job's position; None for other jobs."""
    if queue is None or row["status"] != JobStatus.QUEUED:
        return None
    jobs, size = row["jobs_ahead"], row["bytes_ahead"]
    if jobs is None:  # beyond the head of the queue
        jobs, size = queue.ahead_of(row["tenant"], row["id"], interactive=row["interactive"])
    return queue.position(row["tenant"], jobs, float(size), interactive=row["interactive"])


def wait_of(row: Mapping[str, Any], queue: Queue | None, position: QueuePosition | None) -> float | None:
    """Return how long a queued job waits; None before its source is fetched, which may take any time."""
    if queue is None or position is None or is_fetched_later(row):
        return None
    return estimated_wait_s(queue.pace, position.bytes_ahead)


def is_fetched_later(row: Mapping[str, Any]) -> bool:
    """Return whether the source is at a URL, and not stored yet."""
    return row["container"] is None


def progress(row: Mapping[str, Any]) -> float:
    """Return the progress from 0 to 1: of the chunks if there are several, otherwise of the only task."""
    if row["status"] == JobStatus.COMPLETED:
        return 1.0
    if row["status"] == JobStatus.QUEUED:
        return 0.0
    if row["chunk_count"] > 1:
        return round(CHUNKS_BEGIN_AT + CHUNKS_SHARE * float(row["chunk_progress"] or 0), 3)
    return round(float(row["prepare_progress"] or 0), 3)


def attempts(row: Mapping[str, Any]) -> int:
    """Return the number of attempts of the task with the most attempts."""
    begun = row["attempts_begun"] or 0
    if row["status"] == JobStatus.QUEUED or row["started_at"] is None:
        return begun if is_fetched_later(row) else 0
    return max(1, begun)


def next_attempt_at(row: Mapping[str, Any]) -> dt.datetime | None:
    """Return when a waiting task of the job is attempted again, if one waits."""
    at: dt.datetime | None = row["next_attempt_at"]
    return None if JobStatus(row["status"]) in JOB_TERMINAL else at


def audio_facts(row: Mapping[str, Any]) -> AudioFacts:
    """Return the known facts of the source. All are None before a URL is fetched."""
    return AudioFacts(
        duration=row["duration_s"],
        sample_rate=row["sample_rate_hz"],
        channels=row["channels"],
        format=row["container"],
        bytes=row["source_bytes"],
        sha256=row["source_sha256"],
        tracks=msgspec.json.decode(row["tracks"], type=tuple[AudioTrack, ...]) if row["tracks"] else (),
    )


def error_of(row: Mapping[str, Any]) -> ProblemInJob | None:
    """Return why the job failed, or None."""
    code = row["error_code"]
    return ProblemInJob(code=code, message=row["error_message"] or "") if code else None


def options_of(row: Mapping[str, Any]) -> dict[str, OptionValue]:
    """Return the options of the submission that differ from their defaults, without a text of many pages."""
    stored = msgspec.json.decode(row["options"], type=dict[str, Any])
    hidden = {*INTERNAL_OPTIONS, "text"}
    return {name: value for name, value in stored.items() if name not in hidden and value is not None}


# The state of a job for its event stream. Tasks are read only for states that have progress, so that thousands of
# queued jobs cost one row each.
_STATES_OF_WANTED = """
    jobs.tenant, jobs.id, status, stage, generation, chunk_count, chunks_done, erased_at, filename, created_at,
           work.*
    FROM wanted JOIN jobs USING (tenant, id)
    CROSS JOIN LATERAL (
        SELECT avg(CASE WHEN state = 'done' THEN 1 ELSE progress END) FILTER (WHERE kind = 'chunk') AS chunk_progress,
               max(progress) FILTER (WHERE kind = 'prepare') AS prepare_progress
        FROM tasks
        WHERE job_id = jobs.id {of_jobs} AND generation = jobs.generation AND kind IN ('prepare', 'chunk')
            AND jobs.status IN ('PROCESSING', 'FAILED', 'CANCELLED')
    ) AS work
"""
_NAMED = "SELECT tenant, id FROM unnest($1::text[], $2::uuid[]) AS named (tenant, id)"
# Only the slices of the named jobs are read.
_IN_SLICES = _STATES_OF_WANTED.format(of_jobs="AND job_id = ANY ($2::uuid[])")
STATES = f"WITH wanted AS ({_NAMED}) SELECT {_IN_SLICES} WHERE jobs.id = ANY ($2::uuid[])"

# The newest active jobs of tenants, and named jobs.
ACTIVE_JOBS = 100  # of each status
TENANT_STATES = f"""
    WITH wanted AS (
        {_NAMED}
        UNION SELECT watched.tenant, active.id FROM unnest($3::text[]) AS watched (tenant) CROSS JOIN LATERAL (
            (SELECT id FROM jobs WHERE jobs.tenant = watched.tenant AND status = 'QUEUED'
             ORDER BY id DESC LIMIT {ACTIVE_JOBS})
            UNION ALL (SELECT id FROM jobs WHERE jobs.tenant = watched.tenant AND status = 'PROCESSING'
                AND status <> 'QUEUED' AND erased_at IS NULL ORDER BY id DESC LIMIT {ACTIVE_JOBS})
        ) AS active
    ) SELECT {_STATES_OF_WANTED.format(of_jobs="")} ORDER BY status <> 'PROCESSING', id DESC
"""  # noqa: S608 - constants


class JobKey(NamedTuple):
    """A job of a tenant."""

    tenant: str
    job_id: UUID


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """The content of an event. Two equal states are one event."""

    generation: int
    status: JobStatus
    stage: Stage
    progress: float
    chunk_count: int
    chunks_done: int
    is_erased: bool

    @property
    def is_over(self) -> bool:
        """Return whether the state is final."""
        return self.status in JOB_TERMINAL

    @property
    def event_id(self) -> str:
        """Return an id of the state. A client that reconnects with it gets newer states only."""
        per_mille = round(self.progress * 1000)
        return f"{self.generation}-{self.status}-{self.stage}-{per_mille}-{self.chunks_done}.{self.chunk_count}"


def key_of(row: Mapping[str, Any]) -> JobKey:
    """Return the key of a row of STATES."""
    return JobKey(row["tenant"], row["id"])


def state_of(row: Mapping[str, Any]) -> JobState:
    """Return the state of a row of STATES."""
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
    """Return a server-sent event. It has no name, so that an EventSource's `onmessage` receives it."""
    data = JobEvent(
        job_id=str(job_id),
        status=state.status,
        stage=state.stage,
        progress=state.progress,
        chunks_done=state.chunks_done,
        chunk_count=state.chunk_count,
    )
    return b"id: %b\ndata: %b\n\n" % (state.event_id.encode(), msgspec.json.encode(data))


# The opaque cursors of lists: the position of the last item of a page.

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
DEAD_LETTER_POSITION = struct.Struct(">q16s")
JOB_CURSOR = "^[A-Za-z0-9_-]{21}[AQgw]$"  # 16 bytes; the last letter encodes two bits
DEAD_LETTER_CURSOR = "^A[A-Za-z0-3][A-Za-z0-9_-]{30}$"  # 24 bytes; the first eight are a time from 1970 to 9999


CURSOR_FORM = "the `next_cursor` of a page of the same list"


class DeadLetterPosition(NamedTuple):
    """A position in the list of dead letters."""

    died_at: dt.datetime
    task_id: UUID


def encode_cursor(last_id: UUID) -> str:
    """Return the cursor after a job."""
    return _encode(last_id.bytes)


def decode_cursor(cursor: str) -> UUID:
    """Return the job id in a cursor. Raise RefusedError `invalid_parameter` for an invalid cursor."""
    try:
        return UUID(bytes=_decode(cursor))
    except ValueError:
        raise invalid_cursor() from None


def encode_dead_letter_cursor(position: DeadLetterPosition) -> str:
    """Return the cursor after a dead letter."""
    return _encode(DEAD_LETTER_POSITION.pack((position.died_at - EPOCH) // MICROSECOND, position.task_id.bytes))


def decode_dead_letter_cursor(cursor: str) -> DeadLetterPosition:
    """Return the position in a cursor. Raise RefusedError `invalid_parameter` for an invalid cursor."""
    try:
        microseconds, task_id = DEAD_LETTER_POSITION.unpack(_decode(cursor))
        return DeadLetterPosition(EPOCH + microseconds * MICROSECOND, UUID(bytes=task_id))
    except (struct.error, OverflowError):
        raise invalid_cursor() from None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(cursor: str) -> bytes:
    try:
        data = base64.b64decode(cursor + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise invalid_cursor() from None
    if _encode(data) != cursor:
        raise invalid_cursor()
    return data


def invalid_cursor() -> RefusedError:
    return RefusedError("invalid_parameter", f"`cursor` must be {CURSOR_FORM}.")
