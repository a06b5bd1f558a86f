"""Deliver: sign a webhook event and make one delivery attempt to the endpoint of its job.

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
from yarl import URL

from processor_service.errors import PermanentError
from processor_service.outbound.exact_url import exact_url
from processor_service.outbound.guard import host_of, refusal_of_url
from processor_service.settings import ProcessorSettings
from processor_service.tasks.leases import ClaimedTask
from processor_service.tasks.outcomes import Delivered, Delivery, DeliveryAttempt, LeaseLost, NotDelivered, Postponed
from processor_service.telemetry.metrics import count_webhook
from processor_service.webhooks.delivery_result import Answer, Blocked, Result, Unsigned, failure_of_result
from processor_service.webhooks.send import host_shares_of, send
from shared.failpoints import failpoint
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.webhook_events import DeliveryInput
from shared.secret import Secret, repr_hiding
from shared.telemetry.logs import Log

log = Log(__name__)

READ_EVENT = """
SELECT e.id, e.body, t.created_at AS ordered_at, j.webhook_url, j.webhook_secret, ARRAY(
    SELECT coalesce(s.secret, '') FROM webhook_secrets s
    WHERE s.tenant = j.tenant AND (s.expires_at IS NULL OR s.expires_at > now())
    ORDER BY s.expires_at DESC
) AS tenant_secrets
FROM webhook_events e JOIN jobs j ON j.id = e.job_id, tasks t
WHERE e.id = $1 AND e.job_id = $2 AND t.id = $3
"""

# FOR SHARE waits for an uncommitted rescue or cancellation of the task, and then sees its result.
BEGIN_ATTEMPT = """
WITH held AS (
    SELECT id FROM tasks WHERE id = $1 AND lease_token = $2 AND state = 'running' FOR SHARE
)
INSERT INTO webhook_attempts (event_id, task_id, tenant) SELECT $3, held.id, $4 FROM held RETURNING id, attempted_at
"""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event, its URL and its secret. They are the same in every attempt."""

    id: str
    body: str
    ordered_at: dt.datetime  # when the job ended, or a client requested the event again
    url: URL
    secret: Secret | None  # the job's own
    tenant_secrets: tuple[Secret, ...]  # an empty one stands for the service's

    def __repr__(self) -> str:
        return repr_hiding(self, "url")  # it may contain a token

    @property
    def host(self) -> str:
        return host_of(self.url) or ""


async def deliver(
    task: ClaimedTask, pool: asyncpg.Pool, http: aiohttp.ClientSession, settings: ProcessorSettings
) -> Delivery | LeaseLost:
    """Send the event once, through a session of `open_webhook_session`. LeaseLost: nothing was sent."""
    shares = host_shares_of(http)
    event = await _read_event(pool, task)
    if wait_s := shares.wait_s(event.host):
        log.info("webhook_postponed", host=event.host, wait_s=round(wait_s, 1))
        return Postponed(wait_s)
    with shares.counted(event.host):
        return await _attempt(task, event, pool, http, settings)


async def _read_event(pool: asyncpg.Pool, task: ClaimedTask) -> Event:
    event_id = msgspec.json.decode(task.input or b"", type=DeliveryInput).event_id
    row = await pool.fetchrow(READ_EVENT, event_id, task.job_id, task.id)
    if row is None:
        raise PermanentError(FailureCode.INTERNAL, "The webhook event of this task does not exist.")
    return Event(
        id=event_id,
        body=row["body"],
        ordered_at=row["ordered_at"],
        url=exact_url(row["webhook_url"] or ""),
        secret=None if row["webhook_secret"] is None else Secret(row["webhook_secret"]),
        tenant_secrets=tuple(map(Secret, row["tenant_secrets"])),
    )


async def _attempt(
    task: ClaimedTask, event: Event, pool: asyncpg.Pool, http: aiohttp.ClientSession, settings: ProcessorSettings
) -> Delivered | NotDelivered | LeaseLost:
    row = await pool.fetchrow(BEGIN_ATTEMPT, task.id, task.lease_token, event.id, task.tenant)
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
    return _outcome(event, _completed(row["id"], duration_s, result, failure), failure)


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


def _completed(attempt_id: int, duration_s: float, result: Result, failure: Failure | None) -> DeliveryAttempt:
    answer = result if isinstance(result, Answer) else None
    return DeliveryAttempt(
        id=attempt_id,
        duration_ms=round(duration_s * 1000),
        status=answer.status if answer else None,
        error=failure.message if failure and not answer else None,
        answer=answer.text if answer else None,
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
    """Return the job's own secret, or else the tenant's, or else the service's: the valid ones, newest first.

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
