"""The JSON that the REST API speaks. Field names are the public contract; times are UTC, durations seconds."""

import datetime as dt
from typing import Any, Literal

import msgspec

from shared.schemas.failures import DeadLetter
from shared.schemas.states import JobStatus, Stage
from shared.schemas.transcript import ResultWarning


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of a job's resources, relative to the service."""

    self: str
    transcript: str
    audio: str
    events: str

    @classmethod
    def of(cls, job_id: object) -> "Links":
        path = f"/v1/jobs/{job_id}"
        return cls(self=path, transcript=f"{path}/transcript", audio=f"{path}/audio", events=f"{path}/events")


class JobAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 202."""

    job_id: str
    status: JobStatus
    links: Links


class DirectUpload(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client puts audio into the bucket by itself: a request to begin before `expires_at`."""

    upload_id: str
    url: str
    method: Literal["PUT"]
    headers: dict[str, str]  # all that must be sent besides; more may be
    expires_at: dt.datetime


class AudioFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the source: the decoded facts are null until it was prepared, all until it was fetched.

    So is the sha256 of what its client put into the bucket by itself, until it was prepared.
    """

    duration: float | None
    sample_rate: int | None
    channels: int | None
    format: str | None
    bytes: int | None
    sha256: str | None


class ProblemInJob(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job FAILED."""

    code: str
    message: str


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its client sees it."""

    job_id: str
    status: JobStatus
    stage: Stage
    progress: float
    created_at: dt.datetime
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    queue_position: int | None  # from 1: about how many jobs' work begins before its own, tenants getting fair shares
    estimated_wait_s: float | None  # until the work begins; null when it has begun, or nothing is known
    audio: AudioFacts
    attempts: int
    next_attempt_at: dt.datetime | None
    warnings: tuple[ResultWarning, ...]
    error: ProblemInJob | None
    metadata: Any
    links: Links


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a server-sent event. The chunks of a long file are 0 of 0 until it was cut."""

    job_id: str
    status: JobStatus
    stage: Stage
    progress: float
    chunks_done: int
    chunk_count: int


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first; `next_cursor` is null on the last page."""

    jobs: tuple[JobView, ...]
    next_cursor: str | None


class DeadLetterList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of dead letters, oldest first; `next_cursor` is null on the last page."""

    dead_letters: tuple[DeadLetter, ...]
    next_cursor: str | None


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters were redriven by one request."""

    redriven: int


class WebhookAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver a webhook event. Without `duration_ms` it is under way, or its worker was lost."""

    event_id: str
    type: str
    attempted_at: dt.datetime
    duration_ms: int | None
    status: int | None
    error: str | None
    answer: str | None
    next_attempt_at: dt.datetime | None


class WebhookAttemptList(msgspec.Struct, frozen=True, kw_only=True):
    """All attempts to tell of a job's ends, oldest first."""

    attempts: tuple[WebhookAttempt, ...]


class DayOfUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant used in a day of UTC."""

    day: dt.date
    uploads: int
    bytes: int
    audio_seconds: float


class QuotasInForce(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant may use; null is no limit."""

    bytes_a_day: int | None
    audio_seconds_a_day: int | None
    jobs_queued: int | None
    uploads_at_once: int | None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The days that saw any use, oldest first, and the quotas of now."""

    days: tuple[DayOfUsage, ...]
    quotas: QuotasInForce


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error answer (RFC 9457 `application/problem+json`) with a stable code."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
