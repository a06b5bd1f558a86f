"""API keys in the OpenAPI document: how to send a key, and the routes of keys, sessions and a tenant's webhooks."""

from dataclasses import dataclass

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIMediaType,
    Operation,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIType

from ingest_service.auth.api_keys import MAX_EXPIRES_DAYS, PURPOSE, CreatedApiKey
from ingest_service.auth.caller import Scope
from ingest_service.auth.session_cookie import NAME
from ingest_service.auth.sessions import SessionView
from ingest_service.auth.webhook_secrets import DAY_S, MAX_PREVIOUS_VALID_S, NewWebhookSecret
from ingest_service.openapi.document import ACCESS, NOT_FOUND, Security, Specs, problems
from shared.schemas.webhooks import WebhookUrl

_BEARER = SecurityScheme(type="http", scheme="bearer", description="`Authorization: Bearer hr_…`")
_HEADER = SecurityScheme(
    type="apiKey", name="X-API-Key", security_scheme_in="header", description="The same key in another header"
)
_SESSION = SecurityScheme(
    type="apiKey",
    name=NAME,
    security_scheme_in="cookie",
    description="The cookie of `POST /v1/session`. Requests other than GET and HEAD also need `X-CSRF-Token`.",
)
API_KEYS = Security(
    Components(security_schemes={"bearer": _BEARER, "header": _HEADER, "session": _SESSION}),
    ({"bearer": []}, {"header": []}, {"session": []}),
)

# Written by hand: the framework would omit `additionalProperties: false`, and a misspelled `expires_days` would pass.
BODY = Schema(
    type=OpenAPIType.OBJECT,
    required=["scopes"],
    properties={
        "scopes": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=OpenAPIType.STRING, enum=list(Scope)),
            min_items=1,
            max_items=len(Scope),
            description="What the key may do.",
        ),
        "purpose": Schema(
            type=OpenAPIType.STRING,
            pattern=PURPOSE,
            default="default",
            description="A name for what uses the key. Two keys of a purpose may be valid at once.",
        ),
        "expires_days": Schema(
            type=[OpenAPIType.INTEGER, OpenAPIType.NULL],
            minimum=1,
            maximum=MAX_EXPIRES_DAYS,
            description="Days until the key expires; null: it does not expire.",
        ),
    },
    additional_properties=False,
)
EXAMPLE = Example(
    summary="For a program that submits audio", value={"scopes": ["submit"], "purpose": "shop", "expires_days": 90}
)


@dataclass
class CreateKey(Operation):
    """Adds the JSON body."""

    def __post_init__(self) -> None:
        body = OpenAPIMediaType(schema=BODY, examples={"shop": EXAMPLE})
        self.request_body = RequestBody(content={"application/json": body}, required=True)


CREATE: Specs = {
    201: ResponseSpec(CreatedApiKey, generate_examples=False, description="The new key, shown only here"),
    **ACCESS,
    **problems("invalid_parameter", "invalid_request"),
    **problems("forbidden", "origin_not_allowed", "invalid_csrf_token", "page_not_allowed"),
    **problems("too_many_keys", "too_large", "unsupported_content_type", "database_unavailable"),
}
LIST: Specs = ACCESS | problems("database_unavailable")
REVOKE: Specs = NOT_FOUND
START_SESSION: Specs = {
    201: ResponseSpec(SessionView, generate_examples=False, description="The session, and its cookie in `Set-Cookie`"),
    **ACCESS,
    **problems("database_unavailable"),
}
SHOW_SESSION: Specs = ACCESS | problems("database_unavailable")
END_SESSION: Specs = NOT_FOUND

ROTATION = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "previous_valid_s": Schema(
            type=OpenAPIType.INTEGER,
            minimum=0,
            maximum=MAX_PREVIOUS_VALID_S,
            default=DAY_S,
            description="Seconds in which the previous secret signs, too; 0: it ends at once.",
        )
    },
    additional_properties=False,
)


@dataclass
class RotateSecret(Operation):
    """Adds the JSON body."""

    def __post_init__(self) -> None:
        hour = Example(summary="Change all receivers within an hour", value={"previous_valid_s": 3600})
        body = OpenAPIMediaType(schema=ROTATION, examples={"hour": hour})
        self.request_body = RequestBody(content={"application/json": body}, required=True)


ROTATE: Specs = {
    201: ResponseSpec(NewWebhookSecret, generate_examples=False, description="The new secret, shown only here"),
    **ACCESS,
    **problems("forbidden", "origin_not_allowed", "invalid_csrf_token", "page_not_allowed"),
    **problems("invalid_parameter", "invalid_request"),
    **problems("too_many_secrets", "too_large", "unsupported_content_type", "database_unavailable"),
}


_URL = msgspec.json.schema(WebhookUrl)
TEST = Schema(
    type=OpenAPIType.OBJECT,
    required=["url"],
    properties={
        "url": Schema(
            type=OpenAPIType.STRING,
            pattern=_URL["pattern"],
            max_length=_URL["maxLength"],
            description="As a job's `webhook_url`.",
        )
    },
    additional_properties=False,
)


@dataclass
class SendTest(Operation):
    """Adds the JSON body."""

    def __post_init__(self) -> None:
        example = Example(summary="An endpoint of yours", value={"url": "https://example.com/hook"})
        body = OpenAPIMediaType(schema=TEST, examples={"endpoint": example})
        self.request_body = RequestBody(content={"application/json": body}, required=True)
