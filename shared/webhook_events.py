"""The body of a webhook, thin on purpose: the transcript is fetched (Standard Webhooks 1.0 payload)."""

import datetime as dt
from enum import StrEnum
from typing import Any

import msgspec

from shared.api import Links, ProblemInJob
from shared.states import JobStatus


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
    metadata: Any
    error: ProblemInJob | None


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    type: EventType
    timestamp: dt.datetime
    data: EventData
