"""Signs an event by Standard Webhooks 1.0, with the reference library."""

import datetime as dt

from standardwebhooks import Webhook


def signed_headers(secret: str, event_id: str, body: bytes, *, at: dt.datetime) -> dict[str, str]:
    """The headers of one delivery attempt; `at` must be UTC, the library misreads anything else."""
    return {
        "content-type": "application/json",
        "user-agent": "Headrace/1",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, body.decode()),
    }
