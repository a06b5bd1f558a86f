"""Reads a webhook event and its target: the job's `webhook_url`, one of its `webhooks`, or an endpoint of the tenant.

The URL, the secrets and the body are the same in every attempt, unless the tenant changes the endpoint meanwhile.
"""

import datetime as dt
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from yarl import URL

from processor_service.errors import PermanentError
from processor_service.outbound.exact_url import exact_url
from processor_service.outbound.guard import host_of
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import Dropped
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.schemas.failures import FailureCode
from shared.schemas.webhook_events import DeliveryInput, EventType, with_transcript
from shared.secret import Secret, repr_hiding

# Until an earlier event of the job has reached the same target, or is a dead letter. An event of a job is one of a
# generation. NULL: there is none.
EARLIER = """(
    SELECT 1 + max(CASE WHEN o.state = 'waiting' THEN greatest(extract(epoch FROM o.not_before - now()), 0) ELSE 0 END)
    FROM tasks o WHERE o.job_id = $2 AND o.generation < t.generation AND o.kind = 'deliver'
        AND o.state NOT IN ('done', 'dead', 'cancelled')
        AND split_part(o.input->>'event_id', '_', 5) = split_part(t.input->>'event_id', '_', 5)
)::float AS earlier_wait_s"""
OF_EVENT = f"e.generation, e.body, j.erased_at IS NOT NULL AS is_erased, t.created_at AS ordered_at, {EARLIER}"
FOUND = "e.id = $1 AND e.job_id = $2 AND j.id = $2 AND t.id = $3 AND t.job_id = $2"
TENANT_SECRETS = """ARRAY(
    SELECT coalesce(s.secret, '') FROM webhook_secrets s
    WHERE s.tenant = j.tenant AND (s.expires_at IS NULL OR s.expires_at > now())
    ORDER BY s.expires_at DESC
) AS tenant_secrets"""
READ_EVENT = f"""
SELECT {OF_EVENT}, j.webhook_url AS url, j.webhook_secret AS secret, 'thin' AS contents, {TENANT_SECRETS}
FROM webhook_events e, jobs j, tasks t WHERE {FOUND}
"""  # noqa: S608 - constants
READ_EVENT_OF_WEBHOOK = f"""
SELECT {OF_EVENT}, j.webhooks->$4::int->>'url' AS url, j.webhooks->$4::int->>'secret' AS secret,
    coalesce(j.webhooks->$4::int->>'contents', 'thin') AS contents, {TENANT_SECRETS}
FROM webhook_events e, jobs j, tasks t WHERE {FOUND}
"""  # noqa: S608 - constants
READ_EVENT_OF_ENDPOINT = f"""
SELECT {OF_EVENT}, p.url, NULL AS secret, p.contents, coalesce(p.enabled, false) AS is_enabled, p.paused_reason, ARRAY(
    SELECT s.secret FROM webhook_endpoint_secrets s
    WHERE s.endpoint_id = p.id AND (s.expires_at IS NULL OR s.expires_at > now())
    ORDER BY s.expires_at DESC
) AS tenant_secrets
FROM jobs j JOIN webhook_events e ON true JOIN tasks t ON true
    LEFT JOIN webhook_endpoints p ON p.id = $4 AND p.tenant = j.tenant
WHERE {FOUND}
"""  # noqa: S608 - constants


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event, its URL and its secrets."""

    id: str  # the `webhook-id`
    body: str
    ordered_at: dt.datetime  # when the job ended, or a client requested the event again
    url: URL
    secret: Secret | None  # the job's own
    tenant_secrets: tuple[Secret, ...]  # or the endpoint's; an empty one stands for the service's
    stored_id: str = ""  # the id of its row
    generation: int = 1
    target: str = ""
    endpoint_id: UUID | None = None
    has_transcript: bool = False  # the transcript belongs into the body
    is_erased: bool = False
    earlier_wait_s: float | None = None  # an earlier event of the job goes first

    def __repr__(self) -> str:
        return repr_hiding(self, "url")  # it may contain a token

    @property
    def host(self) -> str:
        return host_of(self.url) or ""


async def read_event(pool: asyncpg.Pool, task: ClaimedTask) -> Event | Dropped:
    """Return what a task delivers. Raise PermanentError if the event does not exist or its endpoint is paused."""
    wanted = msgspec.json.decode(task.input or b"", type=DeliveryInput)
    of_task = wanted.event, task.job_id, task.id
    if wanted.webhook is not None:
        row = await pool.fetchrow(READ_EVENT_OF_WEBHOOK, *of_task, wanted.webhook)
    elif wanted.endpoint_id is not None:
        row = await pool.fetchrow(READ_EVENT_OF_ENDPOINT, *of_task, wanted.endpoint_id)
    else:
        row = await pool.fetchrow(READ_EVENT, *of_task)
    if row is None:
        raise PermanentError(FailureCode.INTERNAL, "The webhook event of this task does not exist.")
    if wanted.endpoint_id is not None and not row["is_enabled"]:
        return Dropped()
    if wanted.endpoint_id is not None and row["paused_reason"]:
        message = f"The webhook endpoint is paused: {row['paused_reason']}"
        raise PermanentError(FailureCode.WEBHOOK_REFUSED, message)
    return _event(wanted, row)


def _event(wanted: DeliveryInput, row: Any) -> Event:
    return Event(
        id=wanted.event_id,
        body=row["body"],
        ordered_at=row["ordered_at"],
        url=exact_url(row["url"] or ""),
        secret=None if row["secret"] is None else Secret(row["secret"]),
        tenant_secrets=tuple(map(Secret, row["tenant_secrets"])),
        stored_id=wanted.event,
        generation=row["generation"],
        target=wanted.target,
        endpoint_id=wanted.endpoint_id,
        has_transcript=row["contents"] == "transcript",
        is_erased=row["is_erased"],
        earlier_wait_s=row["earlier_wait_s"],
    )


async def complete_body(event: Event, task: ClaimedTask, blobs: BlobStore, max_bytes: int) -> str:
    """Return the body to send: with the transcript, if the target wants it and it has at most `max_bytes`.

    Raise BlobStoreError. The transcript of an erased job is null, and so is that of a job which is not COMPLETED.
    """
    if not event.has_transcript:
        return event.body
    if event.is_erased or not event.stored_id.endswith(f"_{EventType.COMPLETED.name.lower()}"):
        return with_transcript(event.body, None)
    key = blob_keys.transcript(task.job_id, event.generation)
    try:
        if await blobs.size(key) > max_bytes:
            return with_transcript(event.body, None, is_too_large=True)
        return with_transcript(event.body, await blobs.get(key))
    except BlobNotFoundError:
        return with_transcript(event.body, None)
