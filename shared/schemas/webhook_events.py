"""A webhook event: its id, and its body, thin on purpose: the transcript is fetched (Standard Webhooks 1.0 payload)."""

import datetime as dt
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.schemas.api import Links, ProblemInJob
from shared.schemas.states import JobStatus


class EventType(StrEnum):
    COMPLETED = "job.completed"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"

    @classmethod
    def of(cls, status: JobStatus) -> "EventType":
        """The event that reports a job's end."""
        return cls(f"job.{status.lower()}")


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    job_id: str
    status: JobStatus
    links: Links
    metadata: msgspec.Raw
    error: ProblemInJob | None


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    type: EventType
    timestamp: dt.datetime
    data: EventData


class DeliveryInput(msgspec.Struct, frozen=True):
    """The `input` of a deliver task: which event it delivers."""

    event_id: str


def event_id(job_id: UUID, generation: int, event_type: EventType) -> str:
    """The `webhook-id`: the same for every attempt and every re-send; holds no `.`, as the standard asks."""
    return f"evt_{job_id.hex}_{generation}_{event_type.name.lower()}"


def event_body(
    job_id: UUID,
    status: JobStatus,
    *,
    ended_at: dt.datetime,
    metadata_json: str | None,
    error: ProblemInJob | None = None,
) -> str:
    """The JSON that is stored with a job's end, and then signed and sent as it is."""
    event = WebhookEvent(
        type=EventType.of(status),
        timestamp=ended_at.astimezone(dt.UTC),
        data=EventData(
            job_id=str(job_id),
            status=status,
            links=Links.of(job_id),
            metadata=msgspec.Raw((metadata_json or "null").encode()),
            error=error,
        ),
    )
    return msgspec.json.encode(event).decode()


def without_metadata(body: str) -> str:
    """The body without what the client had echoed. Not done in SQL: `jsonb` takes no NUL, which JSON may hold."""
    event = msgspec.json.decode(body, type=WebhookEvent)
    data = msgspec.structs.replace(event.data, metadata=msgspec.Raw(b"null"))
    return msgspec.json.encode(msgspec.structs.replace(event, data=data)).decode()
