"""Deliver: sign a webhook event and make one delivery attempt to one of its targets.

The row of the attempt is inserted before the request; `settle` completes it. Rows and logs contain no secret, and of
the URL only the host.
"""

import datetime as dt
import time
from collections.abc import Sequence

import aiohttp
import asyncpg
import msgspec
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from processor_service.outbound.guard import refusal_of_url
from processor_service.settings import ProcessorSettings
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import (
    Delivered,
    Delivery,
    DeliveryAttempt,
    Dropped,
    EndpointHealth,
    LeaseLost,
    NotDelivered,
    Postponed,
)
from processor_service.telemetry.metrics import count_webhook
from processor_service.webhooks.delivery_result import GONE, Answer, Blocked, Result, Unsigned, failure_of_result
from processor_service.webhooks.read_event import Event, complete_body, read_event
from processor_service.webhooks.send import DeliveryShares, send, shares_of
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.schemas.failures import Failure
from shared.secret import Secret
from shared.telemetry.logs import Log

log = Log(__name__)

# FOR SHARE waits for an uncommitted rescue or cancellation of the task, and then sees its result.
BEGIN_ATTEMPT = """
WITH held AS (
    SELECT id FROM tasks WHERE id = $1 AND job_id = $5 AND lease_token = $2 AND state = 'running' FOR SHARE
)
INSERT INTO webhook_attempts (event_id, task_id, tenant, target) SELECT $3, held.id, $4, $6 FROM held
RETURNING id, attempted_at
"""

LONGEST_LOOK_S = 600.0  # until an event that waits for an earlier one looks again


async def deliver(
    task: ClaimedTask, pool: asyncpg.Pool, http: aiohttp.ClientSession, settings: ProcessorSettings, blobs: BlobStore
) -> Delivery | LeaseLost:
    """Send the event once, through a session of `open_webhook_session`. LeaseLost: nothing was sent."""
    shares = shares_of(http)
    event = await read_event(pool, task)
    if isinstance(event, Dropped):
        log.info("webhook_dropped")
        return event
    if wait_s := _wait_s(event, shares):
        log.info("webhook_postponed", host=event.host, wait_s=round(wait_s, 1))
        return Postponed(wait_s)
    with shares.counted(event.host, event.endpoint_id):
        body = await complete_body(event, task, blobs, settings.webhook_transcript_bytes)
        return await _attempt(task, msgspec.structs.replace(event, body=body), pool, http, settings)


def _wait_s(event: Event, shares: DeliveryShares) -> float:
    if event.earlier_wait_s is not None:
        return min(event.earlier_wait_s, LONGEST_LOOK_S)
    return shares.wait_s(event.host, event.endpoint_id)


async def _attempt(
    task: ClaimedTask, event: Event, pool: asyncpg.Pool, http: aiohttp.ClientSession, settings: ProcessorSettings
) -> Delivered | NotDelivered | LeaseLost:
    arguments = task.id, task.lease_token, event.stored_id, task.tenant, task.job_id, event.target or None
    row = await pool.fetchrow(BEGIN_ATTEMPT, *arguments)
    if row is None:
        return LeaseLost()
    failpoint("deliver.before_send")
    started_s = time.monotonic()
    result = await send_event(event, http, settings, at=row["attempted_at"])
    duration_s = time.monotonic() - started_s
    failpoint("deliver.after_send")
    ended_at = row["attempted_at"] + dt.timedelta(seconds=duration_s)
    failure = failure_of_result(result, now=ended_at)
    count_webhook(result, failure, duration_s, lag_s=(ended_at - event.ordered_at).total_seconds())
    health = _health(event, result, failure, settings.webhook_pause_after_s)
    return _outcome(event, _completed(row["id"], duration_s, result, failure, health), failure)


def _health(event: Event, result: Result, failure: Failure | None, pause_after_s: float) -> EndpointHealth | None:
    if event.endpoint_id is None:
        return None
    return EndpointHealth(
        id=event.endpoint_id,
        is_delivered=failure is None,
        is_gone=isinstance(result, Answer) and result.status == GONE,
        pause_after_s=pause_after_s,
        reason=failure.message if failure else None,
    )


async def send_event(
    event: Event, http: aiohttp.ClientSession, settings: ProcessorSettings, *, at: dt.datetime
) -> Result:
    """Send at the database's time `at`: receivers reject a timestamp from a host with a wrong clock."""
    if reason := refusal_of_url(event.url, schemes=settings.webhook_schemes, ports=settings.webhook_ports):
        return Blocked(reason)
    try:
        secrets = secrets_for(event.secret, event.tenant_secrets, settings)
        headers = signed_headers(secrets, event.id, event.body, at=at)
    except UnusableSecretError as error:
        return Unsigned(str(error))
    return await send(http, event.url, body=event.body, headers=headers, timeout_s=settings.webhook_timeout_s)


def _completed(
    attempt_id: int, duration_s: float, result: Result, failure: Failure | None, health: EndpointHealth | None
) -> DeliveryAttempt:
    answer = result if isinstance(result, Answer) else None
    return DeliveryAttempt(
        id=attempt_id,
        duration_ms=round(duration_s * 1000),
        status=answer.status if answer else None,
        error=failure.message if failure and not answer else None,
        answer=answer.text if answer else None,
        endpoint=health,
    )


def _outcome(event: Event, attempt: DeliveryAttempt, failure: Failure | None) -> Delivered | NotDelivered:
    log.info(
        "webhook_attempted",
        host=event.host,
        status=attempt.status,
        error=attempt.error,
        duration_ms=attempt.duration_ms,
    )
    return NotDelivered(attempt, failure) if failure else Delivered(attempt)


# Signatures by Standard Webhooks 1.0, with the reference library.


class UnusableSecretError(Exception):
    """No secret is configured, or it is malformed. The message never shows it."""


def secrets_for(
    own_secret: Secret | None, tenant_secrets: Sequence[Secret], settings: ProcessorSettings
) -> tuple[Secret, ...]:
    """Return the valid secrets, newest first: the job's own, or else its endpoint's or tenant's, or else the service's.

    An empty secret of the tenant stands for the service's, which signed before the tenant's first rotation.
    """
    if own_secret:
        return (own_secret,)
    if not tenant_secrets:
        return _service_secrets(settings)
    own = tuple(filter(None, tenant_secrets))
    return own if len(own) == len(tenant_secrets) or not settings.webhook_secret else own + _service_secrets(settings)


def _service_secrets(settings: ProcessorSettings) -> tuple[Secret, ...]:
    """Return the service's secret and, if set, its previous one."""
    if not settings.webhook_secret:
        raise UnusableSecretError("The webhook has no secret. Set `webhook_secret` or HEADRACE_WEBHOOK_SECRET.")
    return tuple(filter(None, (settings.webhook_secret, settings.webhook_previous_secret)))


def signed_headers(secrets: Sequence[Secret], event_id: str, body: str, *, at: dt.datetime) -> dict[str, str]:
    """Return the headers of one delivery attempt, made at `at`. A receiver needs one of the secrets."""
    at = at.astimezone(dt.UTC)  # the library treats every time as UTC
    return {
        "content-type": "application/json",
        "user-agent": "Headrace/1",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(_signature(secret, event_id, body, at) for secret in secrets),
    }


def _signature(secret: Secret, event_id: str, body: str, at: dt.datetime) -> str:
    try:
        return Webhook(secret.reveal()).sign(event_id, at, body)
    except (ValueError, EmptyWebhookSecretError):
        raise UnusableSecretError("The webhook secret is invalid. It must be whsec_ followed by base64.") from None
