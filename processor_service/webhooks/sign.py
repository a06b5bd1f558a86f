"""Signs webhook events by Standard Webhooks 1.0, with the reference library."""

import datetime as dt
from collections.abc import Sequence

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from processor_service.settings import ProcessorSettings
from shared.secret import Secret


class UnusableSecretError(Exception):
    """No secret is configured, or it is malformed. The message never shows it."""


def secrets_for(own_secret: Secret | None, settings: ProcessorSettings) -> tuple[Secret, ...]:
    """Return the job's own secret, or else the service's secret and, if set, its previous one."""
    if own_secret:
        return (own_secret,)
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
