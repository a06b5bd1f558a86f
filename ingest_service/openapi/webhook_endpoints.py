"""Bodies and answers of the routes of webhook endpoints in the OpenAPI document."""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from ingest_service.jobs.webhook_endpoints import CreatedEndpoint, Description
from ingest_service.openapi.document import NOT_FOUND, TEST_WEBHOOK, Specs, problems
from ingest_service.openapi.keys import ROTATE
from shared.schemas.webhooks import ALL_EVENTS, WebhookUrl

_URL, _DESCRIPTION = msgspec.json.schema(WebhookUrl), msgspec.json.schema(Description)


def _text(schema: dict[str, Any], said: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, pattern=schema["pattern"], max_length=schema["maxLength"], description=said)


def _properties() -> dict[str, Any]:
    return {
        "url": _text(_URL, "As a job's `webhook_url`."),
        "events": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=OpenAPIType.STRING, enum=list(ALL_EVENTS)),
            min_items=1,
            max_items=len(ALL_EVENTS),
            description="What is sent; all by default.",
        ),
        "contents": Schema(
            type=OpenAPIType.STRING,
            enum=["thin", "transcript"],
            description="`transcript`: the transcript is in the body of `job.completed`, up to a size.",
        ),
        "enabled": Schema(type=OpenAPIType.BOOLEAN, description="False: nothing is sent."),
        "description": _text(_DESCRIPTION, "For people."),
    }


NEW = Schema(type=OpenAPIType.OBJECT, required=["url"], properties=_properties(), additional_properties=False)
CHANGE = Schema(type=OpenAPIType.OBJECT, properties=_properties(), additional_properties=False)


@dataclass
class CreateEndpoint(Operation):
    """Adds the JSON body."""

    def __post_init__(self) -> None:
        example = Example(
            summary="Ends of jobs", value={"url": "https://example.com/hook", "events": ["job.completed"]}
        )
        self.request_body = RequestBody(content=_json(NEW, {"endpoint": example}), required=True)


@dataclass
class ChangeEndpoint(Operation):
    """Adds the JSON body."""

    def __post_init__(self) -> None:
        example = Example(summary="Send again, after a pause", value={"enabled": True})
        self.request_body = RequestBody(content=_json(CHANGE, {"resume": example}), required=True)


def _json(schema: Schema, examples: dict[str, Any]) -> dict[str, OpenAPIMediaType]:
    return {"application/json": OpenAPIMediaType(schema=schema, examples=examples)}


CREATE_ENDPOINT: Specs = {
    201: ResponseSpec(CreatedEndpoint, generate_examples=False, description="The new endpoint, with its secret"),
    **TEST_WEBHOOK,
    **problems("forbidden", "origin_not_allowed", "invalid_csrf_token", "page_not_allowed"),
}
CHANGE_ENDPOINT: Specs = {**TEST_WEBHOOK, **problems("not_found")}
ROTATE_ENDPOINT: Specs = {**ROTATE, **problems("not_found")}
TEST_ENDPOINT: Specs = {**NOT_FOUND, **problems("quota_exceeded", "rate_limited")}
