"""The JSON of the REST API. Field names are the public contract; times are UTC, durations seconds."""

import datetime as dt
from typing import Any, Literal

import msgspec

from shared.schemas.audio_tracks import AudioTrack
from shared.schemas.states import JobStatus, Stage, TaskKind, TaskState
from shared.schemas.transcript import ResultWarning
from shared.secret import repr_hiding


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
    """A presigned request with which a client stores audio in the bucket. It must start before `expires_at`."""

    upload_id: str
    url: str
    method: Literal["PUT"]
    headers: dict[str, str]  # must be sent; others may be
    expires_at: dt.datetime

    def __repr__(self) -> str:
        return repr_hiding(self, "url", "headers")  # the URL authorizes a PUT


class AudioFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the source. All are null until it is downloaded; the decoded ones until it is prepared.

    The sha256 of a presigned upload is null until it is prepared. `tracks` is empty until then, and in old jobs.
    """

    duration: float | None
    sample_rate: int | None
    channels: int | None
    format: str | None
    bytes: int | None
    sha256: str | None
    tracks: tuple[AudioTrack, ...] = ()


class ProblemInJob(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job FAILED."""

    code: str
    message: str


class ResultWrite(msgspec.Struct, frozen=True, kw_only=True):
    """One result of `results_to`: `to` is a host or a bucket. It is written after the job is COMPLETED."""

    format: str
    to: str
    status: Literal["waiting", "written", "failed"]
    attempts: int
    error: str | None = None  # of the last attempt
    ended_at: dt.datetime | None = None


OptionValue = str | int | float | bool | list[Any] | dict[str, Any]  # key terms are a list, replacements an object


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the client sees it."""

    job_id: str
    filename: str | None = None  # as the client sent it, for display; never a path to write to
    status: JobStatus
    stage: Stage
    progress: float
    created_at: dt.datetime
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    queue_position: int | None  # from 1: estimate of how many jobs start before it, plus one
    estimated_wait_s: float | None  # until the work starts; null after that, or when unknown
    audio: AudioFacts
    attempts: int
    next_attempt_at: dt.datetime | None
    warnings: tuple[ResultWarning, ...]
    error: ProblemInJob | None
    options: dict[str, OptionValue] = {}  # those that differ from their defaults; never the webhook's URL
    metadata: Any
    links: Links
    speakers: int | None = None  # how many the transcript names; null: none, or not counted
    results: tuple[ResultWrite, ...] = ()  # of `results_to`; empty in lists


class TranscriptHit(msgspec.Struct, frozen=True, kw_only=True):
    """A passage with the words. `start`: seconds to the segment with the first of them; `highlights`: in `snippet`."""

    job_id: str
    filename: str | None
    created_at: dt.datetime
    start: float
    snippet: str
    highlights: tuple[tuple[int, int], ...]  # the first character, and the one after the last
    rank: float


class TranscriptHits(msgspec.Struct, frozen=True, kw_only=True):
    """A page of hits, the best first. `complete`: whether all passages with the words were considered."""

    hits: tuple[TranscriptHit, ...]
    complete: bool
    next_cursor: str | None


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a server-sent event. `chunk_count` is 0 until a long file is split."""

    job_id: str
    status: JobStatus
    stage: Stage
    progress: float
    chunks_done: int
    chunk_count: int


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first; `next_cursor` is null on the last page. A page before it may be empty."""

    jobs: tuple[JobView, ...]
    next_cursor: str | None


class JobCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The number of jobs by status. `complete` is false if there are more jobs than one request reads."""

    counts: dict[JobStatus, int]
    total: int
    complete: bool = True


class TenantEvent(JobEvent, frozen=True, kw_only=True):
    """The data of an event in the stream of all jobs. An erased job is in no list any more."""

    filename: str | None = None
    created_at: dt.datetime
    erased: bool = False


class RefusedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that an action could not change, with the code of the problem."""

    job_id: str
    code: str


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an action did. With `more`, send the request again with `cursor` set to `next_cursor`."""

    matched: int
    changed: int
    refused: tuple[RefusedJob, ...]
    more: bool
    next_cursor: str | None


class StageTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When the job was in a stage. Without `ended_at`, it is."""

    name: Stage
    started_at: dt.datetime
    ended_at: dt.datetime | None


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A unit of work of a job: `prepare`, `chunk` or `finish`. A short file has one task, `prepare`, that does all.

    The times are of the last attempt; `error` is of the last failed one, also if a later one succeeded. `engine` and
    `model` are null for a task that transcribed nothing, before it has, and in jobs of old versions.
    """

    kind: TaskKind
    chunk_index: int | None  # from 0
    start_s: float | None  # of the part of the audio
    end_s: float | None
    state: TaskState
    attempts: int  # that have begun
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    engine: str | None
    model: str | None
    error: ProblemInJob | None


class JobWork(msgspec.Struct, frozen=True, kw_only=True):
    """The stages that have begun, and the tasks, in order."""

    stages: tuple[StageTimes, ...]
    tasks: tuple[TaskView, ...]


class DayOfUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's quota usage of one UTC day."""

    day: dt.date
    uploads: int
    bytes: int
    audio_seconds: float


class QuotasInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's quotas; null means no limit."""

    bytes_a_day: int | None
    audio_seconds_a_day: int | None
    jobs_queued: int | None
    uploads_at_once: int | None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The days with usage, oldest first, and the current quotas."""

    days: tuple[DayOfUsage, ...]
    quotas: QuotasInForce


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error response (RFC 9457 `application/problem+json`) with a stable code."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice of the tenant, of which only an embedding is kept. Times are UTC.

    `speech_s` are the seconds of clear speech in its sample; null until a processor has read it.
    """

    voice_id: str
    name: str
    status: Literal["waiting", "ready", "failed"]
    created_at: dt.datetime
    speech_s: float | None = None
    error: str | None = None  # why it failed


class VoiceList(msgspec.Struct, frozen=True, kw_only=True):
    """The voices of the tenant, oldest first."""

    voices: tuple[Voice, ...]
