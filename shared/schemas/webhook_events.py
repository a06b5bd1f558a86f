"""Webhook events: their ids, targets and bodies (Standard Webhooks 1.0). A stored body has no transcript."""

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
    made: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET  # by chat providers: the transcript has it
    metadata: msgspec.Raw
    error: ProblemInJob | None


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    type: EventType
    timestamp: dt.datetime
    data: EventData


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TEST_EVENT = "webhook.test"  # a type of its own: no job has ended
PARTS_OF_EVENT = 4  # of the id of an event, between `_`
TEST_KEPT_S = 3600.0  # a test event and its result


class DataOfTest(msgspec.Struct, frozen=True, kw_only=True):
    test_id: str
    job_id: None = None  # so that a receiver that reads it fails on no missing field


class EventOfTest(msgspec.Struct, frozen=True, kw_only=True):
    type: str = TEST_EVENT
    timestamp: dt.datetime
    data: DataOfTest


class DeliveryInput(msgspec.Struct, frozen=True):
    """The `input` of a deliver task: the `webhook-id`. It is the id of the event, followed by `_` and the target.

    The target is empty for the job's `webhook_url`, `w0` to `w7` for one of its `webhooks`, and 32 hexadecimal digits
    for an endpoint of the tenant. Versions that know no targets find no event with the whole id, and send nothing.
    """

    event_id: str

    @property
    def event(self) -> str:
        """The id of the stored event."""
        return "_".join(self.event_id.split("_")[:PARTS_OF_EVENT])

    @property
    def target(self) -> str:
        """Where the event goes."""
        return "_".join(self.event_id.split("_")[PARTS_OF_EVENT:])

    @property
    def webhook(self) -> int | None:
        """The number of one of the job's `webhooks`."""
        return int(self.target[1:]) if self.target.startswith("w") else None

    @property
    def endpoint_id(self) -> UUID | None:
        """The endpoint of the tenant."""
        return UUID(self.target) if self.target and self.webhook is None else None


# The targets of the event of a job that has ended: `ended` is its row.
TARGETS = """(
    SELECT '' AS target WHERE ended.webhook_url <> ''
    UNION ALL
    SELECT 'w' || position - 1 FROM jsonb_array_elements(ended.webhooks) WITH ORDINALITY AS webhook (of_job, position)
    WHERE coalesce(of_job->'events' ? ('job.' || lower(ended.status)), true)
    UNION ALL
    SELECT replace(p.id::text, '-', '') FROM webhook_endpoints p
    WHERE p.tenant = ended.tenant AND p.enabled AND p.paused_at IS NULL
        AND ('job.' || lower(ended.status)) = ANY (p.events)
)"""


def event_id(job_id: UUID, generation: int, event_type: EventType) -> str:
    """Return the id of an event, without `.`, as the standard requires of a `webhook-id`."""
    return f"evt_{job_id.hex}_{generation}_{event_type.name.lower()}"


def webhook_id(event: str, target: str) -> str:
    """Return the `webhook-id` of an event at a target: the same for every attempt and re-send."""
    return f"{event}_{target}" if target else event


def event_body(  # noqa: PLR0913 - what the event says
    job_id: UUID,
    status: JobStatus,
    *,
    ended_at: dt.datetime,
    metadata_json: str | None,
    error: ProblemInJob | None = None,
    made: tuple[str, ...] = (),
) -> str:
    """Return the JSON body. It is stored when the job ends, then signed and sent unchanged."""
    event = WebhookEvent(
        type=EventType.of(status),
        timestamp=ended_at.astimezone(dt.UTC),
        data=EventData(
            job_id=str(job_id),
            status=status,
            links=Links.of(job_id),
            made=made or msgspec.UNSET,
            metadata=msgspec.Raw((metadata_json or "null").encode()),
            error=error,
        ),
    )
    return msgspec.json.encode(event).decode()


def event_template(
    job_id: UUID, status: JobStatus, *, error: ProblemInJob | None = None, made: tuple[str, ...] = ()
) -> tuple[str, str, str]:
    """Return the text of `event_body` before the time, up to the metadata, and after it: the database inserts both."""
    body = event_body(job_id, status, ended_at=EPOCH, metadata_json=None, error=error, made=made)
    before, _, rest = body.partition("1970-01-01T00:00:00Z")
    between, name, after = rest.partition('"metadata":')  # what is before it is ours
    return before, between + name, after.removeprefix("null")


def with_transcript(body: str, transcript: bytes | None, *, is_too_large: bool = False) -> str:
    """Return a body of `event_body` with the JSON of the transcript as the last fields of `data`."""
    said = f'"transcript":{(transcript or b"null").decode()},"transcript_too_large":{str(is_too_large).lower()}'
    return f"{body.removesuffix('}}')},{said}}}}}"


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
