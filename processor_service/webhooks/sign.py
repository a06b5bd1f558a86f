"""Signs an event by Standard Webhooks 1.0, with the reference library."""

import datetime as dt
from collections.abc import Sequence

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from processor_service.settings import ProcessorSettings


class UnusableSecretError(Exception):
    """There is no secret to sign with, or it is none; the message never shows it."""


def secrets_for(own_secret: str | None, settings: ProcessorSettings) -> tuple[str, ...]:
    """The secrets that sign: the job's own, or else the service's, and its previous one while receivers change."""
    if own_secret:
        return (own_secret,)
    if not settings.webhook_secret:
        message = "There is no secret to sign the webhook with: neither the job nor HEADRACE_WEBHOOK_SECRET has one."
        raise UnusableSecretError(message)
    return tuple(filter(None, (settings.webhook_secret, settings.webhook_previous_secret)))


def signed_headers(secrets: Sequence[str], event_id: str, body: str, *, at: dt.datetime) -> dict[str, str]:
    """The headers of one delivery attempt, made at `at`; a receiver needs to know one of the secrets."""
    at = at.astimezone(dt.UTC)  # the library takes every time for UTC
    return {
        "content-type": "application/json",
        "user-agent": "Headrace/1",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(_signature(secret, event_id, body, at) for secret in secrets),
    }


def _signature(secret: str, event_id: str, body: str, at: dt.datetime) -> str:
    try:
        return Webhook(secret).sign(event_id, at, body)
    except (ValueError, EmptyWebhookSecretError):
        raise UnusableSecretError("The secret that is to sign the webhook is not whsec_ and base64.") from None
