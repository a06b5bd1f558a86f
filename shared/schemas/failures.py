"""Failures as they are stored and shown: a stable code and a sentence for the client's developer."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class FailureCode(StrEnum):
    """Why a task failed. The codes are public: jobs, webhooks and dead letters carry them."""

    UNDECODABLE_AUDIO = "undecodable_audio"  # no decoder can read the bytes
    EMPTY_AUDIO = "empty_audio"  # it decodes but has no samples
    START_AFTER_END = "start_after_end"  # the recording ends before the option `start`
    AUDIO_TOO_LONG = "audio_too_long"  # longer than HEADRACE_MAX_AUDIO_SECONDS
    TOO_MUCH_AUDIO = "too_much_audio"  # decoded, it takes more than HEADRACE_DERIVED_… allows for a source of its size
    NO_AUDIO_TRACK = "no_audio_track"  # a video or container without sound
    UNSUPPORTED_CODEC = "unsupported_codec"  # the container is known, the codec is not
    UNSUPPORTED_AUDIO = "unsupported_audio"  # sample rate or channel count out of bounds
    MODEL_UNAVAILABLE = "model_unavailable"  # the requested model is not installed on this processor
    PROVIDER_UNAVAILABLE = "provider_unavailable"  # a provider does not answer or is overloaded; transient
    PROVIDER_ANSWER = "provider_answer"  # a provider's answer is not a transcript; transient
    PROVIDER_DENIED = "provider_denied"  # a provider does not accept the service's key
    PROVIDER_REFUSED = "provider_refused"  # a provider rejects the request
    SOURCE_MISSING = "source_missing"  # the stored upload does not exist any more
    SOURCE_BLOCKED = "source_blocked"  # the service may not connect to the address of `audio_url`
    SOURCE_REFUSED = "source_refused"  # the server of `audio_url` refuses the request
    SOURCE_UNAVAILABLE = "source_unavailable"  # that server does not answer or is overloaded; transient
    SOURCE_TOO_LARGE = "source_too_large"  # the file has more than HEADRACE_MAX_UPLOAD_BYTES
    SOURCE_HEADERS_ERASED = "source_headers_erased"  # the `audio_headers` are erased, or no key decrypts them
    UNSUPPORTED_MEDIA = "unsupported_media"  # the file is not audio or video
    WEBHOOK_REFUSED = "webhook_refused"  # the endpoint did not answer 2xx
    WEBHOOK_BLOCKED = "webhook_blocked"  # the service may not connect to the endpoint's address
    RESULT_REFUSED = "result_refused"  # the bucket or the server of `results_to` did not take a result
    RESULT_BLOCKED = "result_blocked"  # the service may not write to the address or the bucket of `results_to`
    STORAGE_UNAVAILABLE = "storage_unavailable"  # the blob store failed; transient
    STORAGE_FULL = "storage_full"  # a disk has only HEADRACE_MIN_FREE_BYTES left; transient, and not an attempt
    TIMEOUT = "timeout"  # a stage took longer than its timeout; transient
    POISON = "poison"  # it crashed or lost its worker three times
    INTERNAL = "internal"  # a defect of Headrace; the operator sees its traceback in the dead letter


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
    """The shown part of a stored Failure. Its code may be of a newer version."""

    code: str
    message: str
    traceback: str = ""


def dead_letter(row: Mapping[str, Any], *, for_operator: bool = True) -> DeadLetter:
    """Build the dead letter of a dead task's row, joined with its job's `tenant` and `options`.

    Only the operator sees the traceback: it names files and hosts, and may hold a child's output about other jobs.
    """
    failure = msgspec.json.decode(row["failure"], type=StoredFailure)
    return DeadLetter(
        job_id=str(row["job_id"]),
        generation=row["generation"],
        task_kind=row["kind"],
        ordinal=row["ordinal"],
        code=failure.code,
        message=failure.message,
        traceback=failure.traceback if for_operator else "",
        attempts=row["attempts"],
        first_failed_at=row["first_failed_at"],
        last_failed_at=row["last_failed_at"],
        tenant=row["tenant"],
        options=msgspec.json.decode(row["options"]),
    )


DEAD_LETTER_LIST = "headrace:dead-letters"
