"""Describes the bodies and options of an upload for OpenAPI: by hand, since the handlers read them off the socket."""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import (
    Encoding,
    Example,
    OpenAPIMediaType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from ingest_service.receive_upload import AUDIO_FIELD, FORM_TYPE
from ingest_service.sniff_container import ACCEPTED
from shared.options import SubmitOptions

BINARY = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description=f"The audio: {ACCEPTED}.")
EXAMPLE_OPTIONS = {"language": "en", "denoise": True, "metadata": {"call": 4711}}
EXAMPLE_FIELDS = {
    AUDIO_FIELD: "(the bytes of interview.mp3)",
    "language": "en",
    "webhook_url": "https://example.com/hook",
    "metadata": '{"call": 4711}',
}


def _option_schemas() -> dict[str, Reference | Schema]:
    definitions = msgspec.json.schema(SubmitOptions)["$defs"]["SubmitOptions"]["properties"]
    return {name: _schema(definition) for name, definition in definitions.items()}


def _schema(definition: dict[str, Any]) -> Schema:
    """Litestar's object for a JSON schema of ours; an optional one is described by what it is when given."""
    given = definition.get("anyOf", [definition])[0]
    return Schema(
        type=OpenAPIType(given["type"]) if "type" in given else None,
        enum=given.get("enum"),
        pattern=given.get("pattern"),
        minimum=given.get("minimum"),
        maximum=given.get("maximum"),
        max_length=given.get("maxLength"),
        description=given.get("description"),
        default=definition.get("default"),
    )


OPTIONS = _option_schemas()
FORM = Schema(
    type=OpenAPIType.OBJECT,
    required=[AUDIO_FIELD],
    properties={
        AUDIO_FIELD: BINARY,
        **OPTIONS,
        "options": Schema(
            type=OpenAPIType.OBJECT,
            properties=OPTIONS,
            additional_properties=False,
            description="Several options as one JSON object, instead of a field each.",
            examples=[EXAMPLE_OPTIONS],
        ),
    },
    additional_properties=False,
)
AS_JSON = Encoding(content_type="application/json")
FORM_BODY = OpenAPIMediaType(
    schema=FORM,
    encoding={"metadata": AS_JSON, "options": AS_JSON},
    examples={"form": Example(summary="A file and three options", value=EXAMPLE_FIELDS)},
)
RAW_BODY = OpenAPIMediaType(schema=BINARY)


@dataclass
class FormUpload(Operation):
    """A form with the file and its options in any order."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content={FORM_TYPE: FORM_BODY}, required=True)
        self.parameters = _query_parameters()


@dataclass
class RawOrFormUpload(Operation):
    """A form, or the bytes alone with the options in the query."""

    def __post_init__(self) -> None:
        raw = dict.fromkeys(("audio/*", "video/*", "application/octet-stream"), RAW_BODY)
        self.request_body = RequestBody(content={FORM_TYPE: FORM_BODY, **raw}, required=True)
        self.parameters = _query_parameters()


def _query_parameters() -> list[Any]:
    typed = [Parameter(name=name, param_in="query", schema=OPTIONS[name]) for name in OPTIONS if name != "metadata"]
    any_json = {"application/json": OpenAPIMediaType(schema=Schema())}
    return [*typed, Parameter(name="metadata", param_in="query", content=any_json)]
