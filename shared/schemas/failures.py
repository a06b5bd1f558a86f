"""Failures as they are stored and shown: a stable code and a sentence a client developer understands."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class FailureCode(StrEnum):
    """Why a task failed. The codes are public: jobs, webhooks and dead letters carry them."""

    UNDECODABLE_AUDIO = "undecodable_audio"  # no decoder makes sound of the bytes
    EMPTY_AUDIO = "empty_audio"  # decodes, but holds no samples
    AUDIO_TOO_LONG = "audio_too_long"  # longer than HEADRACE_MAX_AUDIO_SECONDS
    NO_AUDIO_TRACK = "no_audio_track"  # a video or container without sound
    UNSUPPORTED_CODEC = "unsupported_codec"  # the container is known, its codec is not
    UNSUPPORTED_AUDIO = "unsupported_audio"  # sample rate or channel count out of bounds
    MODEL_UNAVAILABLE = "model_unavailable"  # the model asked for is not on this processor
    PROVIDER_UNAVAILABLE = "provider_unavailable"  # a remote engine does not answer, or not now; transient
    PROVIDER_ANSWER = "provider_answer"  # a remote engine answered with what is no transcript; transient
    PROVIDER_DENIED = "provider_denied"  # a remote engine does not accept the service's key
    PROVIDER_REFUSED = "provider_refused"  # a remote engine does not take the request
    SOURCE_MISSING = "source_missing"  # the stored upload is gone
    SOURCE_BLOCKED = "source_blocked"  # the `audio_url` is not where this service may connect to
    SOURCE_REFUSED = "source_refused"  # the server of the `audio_url` does not give it
    SOURCE_UNAVAILABLE = "source_unavailable"  # that server does not answer, or not now; transient
    SOURCE_TOO_LARGE = "source_too_large"  # what is there has more than HEADRACE_MAX_UPLOAD_BYTES
    UNSUPPORTED_MEDIA = "unsupported_media"  # what is there begins like no audio or video
    WEBHOOK_REFUSED = "webhook_refused"  # the endpoint did not answer 2xx
    WEBHOOK_BLOCKED = "webhook_blocked"  # the endpoint is not where this service may connect to
    STORAGE_UNAVAILABLE = "storage_unavailable"  # blob store hiccup; transient
    TIMEOUT = "timeout"  # a stage took longer than its limit; transient
    POISON = "poison"  # crashed its process too often
    INTERNAL = "internal"  # a defect of ours; the traceback is in the dead letter


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failed attempt of a task."""

    code: FailureCode
    message: str
    traceback: str = ""
    transient: bool = False
    retry_after_s: float | None = None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the Redis list `headrace:dead-letters` and of `GET /v1/dead-letters`, as JSON."""

    job_id: str
    generation: int
    task_kind: str
    ordinal: int
    code: str
    message: str
    traceback: str
    attempts: int
    first_failed_at: dt.datetime
    last_failed_at: dt.datetime
    tenant: str
    options: dict[str, Any]


class StoredFailure(msgspec.Struct, frozen=True):
    """What is shown of a stored Failure; its code may be one that only a newer version knows."""

    code: str
    message: str
    traceback: str = ""


def dead_letter(row: Mapping[str, Any]) -> DeadLetter:
    """The dead letter of a dead task's row, joined with its job's `tenant` and `options`."""
    failure = msgspec.json.decode(row["failure"], type=StoredFailure)
    return DeadLetter(
        job_id=str(row["job_id"]),
        generation=row["generation"],
        task_kind=row["kind"],
        ordinal=row["ordinal"],
        code=failure.code,
        message=failure.message,
        traceback=failure.traceback,
        attempts=row["attempts"],
        first_failed_at=row["first_failed_at"],
        last_failed_at=row["last_failed_at"],
        tenant=row["tenant"],
        options=msgspec.json.decode(row["options"]),
    )


DEAD_LETTER_LIST = "headrace:dead-letters"
