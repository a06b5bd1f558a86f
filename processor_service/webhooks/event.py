"""Builds a job's webhook event from its row: id, body and the secret that signs it."""

import datetime as dt
from uuid import UUID

import asyncpg
import msgspec

from shared.api import Links, ProblemInJob
from shared.states import JobStatus
from shared.webhook_events import EventData, EventType, WebhookEvent

READ_JOB = """
SELECT status, metadata, error_code, error_message, webhook_url, webhook_secret, completed_at FROM jobs WHERE id = $1
"""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event ready to be signed and sent; the same in every attempt."""

    event_id: str
    body: bytes
    url: str
    secret: str | None


async def read_envelope(pool: asyncpg.Pool, job_id: UUID, generation: int, event_type: EventType) -> Envelope:
    """The event that tells of a job's end."""
    row = await pool.fetchrow(READ_JOB, job_id)
    event = WebhookEvent(
        type=event_type,
        timestamp=row["completed_at"].astimezone(dt.UTC),
        data=EventData(
            job_id=str(job_id),
            status=JobStatus(row["status"]),
            links=Links.of(job_id),
            metadata=msgspec.Raw((row["metadata"] or "null").encode()),
            error=_problem(row),
        ),
    )
    return Envelope(
        event_id=f"evt_{job_id.hex}_{generation}_{event_type.name.lower()}",
        body=msgspec.json.encode(event),
        url=row["webhook_url"],
        secret=row["webhook_secret"],
    )


def _problem(row: asyncpg.Record) -> ProblemInJob | None:
    return ProblemInJob(code=row["error_code"], message=row["error_message"]) if row["error_code"] else None
