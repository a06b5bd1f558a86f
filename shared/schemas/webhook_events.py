"""Webhook events: their ids and bodies (Standard Webhooks 1.0). A body has no transcript: the client fetches it."""

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
        """Return the event type for a job's final status."""
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


TEST_EVENT = "webhook.test"  # a type of its own: no job has ended
TEST_KEPT_S = 3600.0  # a test event and its result


class DataOfTest(msgspec.Struct, frozen=True, kw_only=True):
    test_id: str
    job_id: None = None  # so that a receiver that reads it fails on no missing field


class EventOfTest(msgspec.Struct, frozen=True, kw_only=True):
    type: str = TEST_EVENT
    timestamp: dt.datetime
    data: DataOfTest


class DeliveryInput(msgspec.Struct, frozen=True):
    """The `input` of a deliver task."""

    event_id: str


def event_id(job_id: UUID, generation: int, event_type: EventType) -> str:
    """Return the `webhook-id`: the same for every attempt and re-send, without `.`, as the standard requires."""
    return f"evt_{job_id.hex}_{generation}_{event_type.name.lower()}"


def event_body(
    job_id: UUID,
    status: JobStatus,
    *,
    ended_at: dt.datetime,
    metadata_json: str | None,
    error: ProblemInJob | None = None,
) -> str:
    """Return the JSON body. It is stored when the job ends, then signed and sent unchanged."""
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


def id_of_test(test_id: UUID) -> str:
    """Return the `webhook-id` of a test event."""
    return f"evt_{test_id.hex}_test"


def body_of_test(test_id: UUID, requested_at: dt.datetime) -> str:
    """Return the JSON body of a test event."""
    event = EventOfTest(timestamp=requested_at.astimezone(dt.UTC), data=DataOfTest(test_id=str(test_id)))
    return msgspec.json.encode(event).decode()


def without_metadata(body: str) -> str:
    """Return a body of `event_body` without the client's metadata.

    The text is cut, not parsed: no metadata may prevent an erasure. Keys of the client cannot be mistaken for ours,
    because ours come before and after all of its metadata, and in a string the quotes are escaped.
    """
    before, _, rest = body.partition('"metadata":')
    _, _, after = rest.rpartition(',"error":')
    return f'{before}"metadata":null,"error":{after}' if after else body
