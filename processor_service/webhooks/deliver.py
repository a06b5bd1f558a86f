"""Deliver: one attempt to tell a client's endpoint how its job ended."""

import datetime as dt

import aiohttp
import asyncpg
import msgspec

from processor_service.failures import PermanentError, TransientError
from processor_service.leases import ClaimedTask
from processor_service.outcomes import Delivered, DeliveryAttempt, LeaseLost, NotDelivered
from processor_service.settings import ProcessorSettings
from processor_service.webhooks.event import Envelope, read_envelope
from processor_service.webhooks.sign import signed_headers
from shared.failures import Failure, FailureCode
from shared.webhook_events import DeliveryInput


BEGIN_ATTEMPT = """
INSERT INTO webhook_attempts (event_id, task_id)
SELECT $2, id FROM tasks WHERE id = $1 AND lease_token = $3 AND state = 'running'
RETURNING id
"""


async def deliver(
    task: ClaimedTask, pool: asyncpg.Pool, http: aiohttp.ClientSession, settings: ProcessorSettings
) -> Delivered | NotDelivered | LeaseLost:
    """Send the event once."""
    event_id = msgspec.json.decode(task.input or b"", type=DeliveryInput).event_id
    envelope = await read_envelope(pool, event_id)
    attempt_id = await pool.fetchval(BEGIN_ATTEMPT, task.id, event_id, task.lease_token)
    if attempt_id is None:
        return LeaseLost()
    secret = envelope.secret or settings.webhook_secret
    if not secret:
        message = "There is no secret to sign the webhook with: neither the job nor HEADRACE_WEBHOOK_SECRET has one."
        raise PermanentError(FailureCode.WEBHOOK_REFUSED, message)
    status = await _post(http, envelope, secret, timeout_s=settings.webhook_timeout_s)
    attempt = DeliveryAttempt(id=attempt_id, duration_ms=0, status=status)
    if not 200 <= status < 300:
        message = f"The webhook endpoint answered {status}."
        return NotDelivered(attempt, Failure(code=FailureCode.WEBHOOK_REFUSED, message=message, transient=True))
    return Delivered(attempt)


async def _post(http: aiohttp.ClientSession, envelope: Envelope, secret: str, *, timeout_s: float) -> int:
    headers = signed_headers(secret, envelope.event_id, envelope.body, at=dt.datetime.now(dt.UTC))
    try:
        async with http.post(
            envelope.url,
            data=envelope.body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        message = f"The webhook endpoint could not be reached ({type(error).__name__})."
        raise TransientError(FailureCode.WEBHOOK_REFUSED, message) from error
