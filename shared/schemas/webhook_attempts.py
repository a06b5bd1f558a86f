"""The JSON of deliveries: the attempts of a job's events, a tenant's log, and test events."""

import datetime as dt
from typing import Literal

import msgspec


class WebhookAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver a webhook event. Without `duration_ms` it is running, or its worker was lost."""

    event_id: str  # the `webhook-id`
    type: str
    attempted_at: dt.datetime
    duration_ms: int | None
    status: int | None
    error: str | None
    answer: str | None
    next_attempt_at: dt.datetime | None
    host: str | None = None  # null once an erased job or a deleted endpoint has forgotten it
    endpoint_id: str | None = None  # null: a webhook of the job alone


class WebhookAttemptList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest delivery attempts of a job's events, oldest first."""

    attempts: tuple[WebhookAttempt, ...]


class WebhookLogEntry(WebhookAttempt, frozen=True, kw_only=True):
    """An attempt in the log of all jobs: also what was sent."""

    job_id: str
    body: str  # without the transcript


class WebhookLog(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a tenant's delivery attempts, newest first; `next_cursor` is null on the last page."""

    attempts: tuple[WebhookLogEntry, ...]
    next_cursor: str | None


class WebhookTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test event. `answer` has the first bytes of the endpoint's answer. It is deleted at `expires_at`."""

    test_id: str
    event_id: str
    host: str
    state: Literal["waiting", "sending", "delivered", "failed"]
    created_at: dt.datetime
    expires_at: dt.datetime
    attempted_at: dt.datetime | None
    duration_ms: int | None
    status: int | None
    error: str | None
    answer: str | None
