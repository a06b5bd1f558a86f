"""The webhooks of a job: their URLs, events, contents and secrets, as clients send them."""

import base64
from typing import Annotated, Any, Literal

import msgspec

from shared.schemas.called_urls import BLANKS
from shared.schemas.webhook_events import EventType
from shared.secret import Secret, encode_secret, repr_hiding

# No credentials: the attempts' log shows the host, and receivers verify the signature.
WebhookUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[Hh][Tt][Tt][Pp][Ss]?://[^{BLANKS}\\/?#@]+(?:[/?#][^\x00-\x1f\x7f]*)?$(?!\n)",
        max_length=2000,
        description="an http or https URL of at most 2000 characters, without user name and password, such as "
        "https://example.com/hook",
    ),
]
WEBHOOK_SECRET_FORM = "`whsec_` and the base64 of 12 to 128 random bytes"  # noqa: S105 - the form of one
WebhookSecret = Annotated[
    Secret,
    msgspec.Meta(
        extra_json_schema={
            "pattern": "^whsec_(?:[A-Za-z0-9+/]{4}){4,42}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
            "description": WEBHOOK_SECRET_FORM,
        }
    ),
]


def is_webhook_secret(text: str) -> bool:
    """Whether the key is valid base64 of a valid length. The reference library silently drops invalid characters."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return text.startswith("whsec_") and 12 <= len(key) <= 128


ALL_EVENTS = tuple(EventType)
Events = Annotated[tuple[EventType, ...], msgspec.Meta(min_length=1, max_length=len(ALL_EVENTS))]
# `transcript`: the transcript is part of the body of `job.completed`, up to a size.
Contents = Literal["thin", "transcript"]
MAX_WEBHOOKS = 8  # of a job


class JobWebhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the webhooks of a job. Without `secret`, the tenant's signs."""

    url: WebhookUrl
    events: Events = ALL_EVENTS
    contents: Contents = "thin"
    secret: WebhookSecret | None = None

    def __post_init__(self) -> None:
        if self.secret is not None and not is_webhook_secret(self.secret.reveal()):
            raise ValueError(f"`webhooks` must have no other `secret` than {WEBHOOK_SECRET_FORM}")

    def __repr__(self) -> str:
        return repr_hiding(self, "url")  # it may contain a token


class SentWebhook(JobWebhook, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A webhook as a client sends it: without unknown fields. A stored one may be of a newer version."""


JobWebhooks = Annotated[tuple[JobWebhook, ...], msgspec.Meta(max_length=MAX_WEBHOOKS)]
SentWebhooks = Annotated[tuple[SentWebhook, ...], msgspec.Meta(max_length=MAX_WEBHOOKS)]


def webhooks_json(webhooks: tuple[JobWebhook, ...]) -> str | None:
    """Write the webhooks with their secrets. Only for the database. None: there are none."""
    return msgspec.json.encode(webhooks, enc_hook=encode_secret).decode() if webhooks else None


def webhooks_schema(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of the option with those of a webhook and its events inside."""
    webhook = definitions[JobWebhook.__name__]
    events = webhook["properties"]["events"] | {"items": {"enum": list(ALL_EVENTS)}, "default": list(ALL_EVENTS)}
    properties = webhook["properties"] | {"events": events}
    return schema | {"items": webhook | {"properties": properties, "additionalProperties": False}, "default": []}
