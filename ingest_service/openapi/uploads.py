"""Bodies and options of uploads in the OpenAPI document, written by hand: handlers read the body as a stream."""

from dataclasses import dataclass
from typing import Any

from litestar.openapi import ResponseSpec
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

from ingest_service.openapi.document import EXAMPLE_JOB_ID, UNAVAILABLE, Specs, problems
from ingest_service.uploads.from_url import JSON_TYPE, MAX_URL_CHARS, URL_FIELD
from ingest_service.uploads.presigned_uploads import UPLOAD_FIELD
from ingest_service.uploads.receive import AUDIO_FIELD, FORM_TYPE
from shared.media.sniff_container import ACCEPTED
from shared.schemas.api import DirectUpload
from shared.schemas.options import submission_schema

EXAMPLE_UPLOAD_ID = EXAMPLE_JOB_ID
_EXAMPLE = {
    "upload_id": EXAMPLE_UPLOAD_ID,
    "url": f"https://s3.example.com/headrace/direct/{EXAMPLE_UPLOAD_ID}?X-Amz-Signature=…",
    "method": "PUT",
    "headers": {},
    "expires_at": "2026-11-21T21:00:00Z",
}
PRESIGNED: Specs = {
    201: ResponseSpec(
        DirectUpload,
        generate_examples=False,
        description="Where to upload the audio",
        examples=[Example(id="s3", value=_EXAMPLE)],
    ),
    **UNAVAILABLE,
    **problems("no_direct_uploads", "quota_exceeded", "rate_limited"),
}


BINARY = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description=f"The audio: {ACCEPTED}.")
EXAMPLE_URL = "https://example.com/interview.mp3"
EXAMPLE_OPTIONS = {"language": "en", "denoise": True, "metadata": {"call": 4711}}
EXAMPLE_FIELDS = {
    AUDIO_FIELD: "(the bytes of interview.mp3)",
    "language": "en",
    "webhook_url": "https://example.com/hook",
    "metadata": '{"call": 4711}',
}


def _option_schemas() -> dict[str, Reference | Schema]:
    return {name: _schema(definition) for name, definition in submission_schema().items()}


def _schema(definition: dict[str, Any]) -> Schema:
    """Return Litestar's object for a JSON schema. An optional option is described by its type when given."""
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
            description="Several options as one JSON object, instead of one field each.",
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


KEY = Schema(type=OpenAPIType.STRING, pattern="^[!-~]+$", min_length=1, max_length=255)
DIGESTS = Schema(
    type=OpenAPIType.STRING,
    description="RFC 9530: `sha-256=:base64:` or `sha-512=:base64:`, comma-separated. Other algorithms are ignored.",
)
PREFER = Parameter(
    name="Prefer",
    param_in="header",
    schema=Schema(type=OpenAPIType.STRING),
    description="RFC 7240: `wait=N` waits at most N seconds (1 to 60) for the end of the job. Others are ignored.",
)
HEADERS = [
    PREFER,
    Parameter(
        name="Idempotency-Key",
        param_in="header",
        schema=KEY,
        description="A repeated request with the same key makes one job, and gets the same answer.",
    ),
    Parameter(
        name="Content-Digest",
        param_in="header",
        schema=DIGESTS,
        description="The digest of the whole body. A body that does not match is refused.",
    ),
    Parameter(name="Repr-Digest", param_in="header", schema=DIGESTS, description="The same as `Content-Digest`."),
]
JSON_BODY = OpenAPIMediaType(
    schema=Schema(
        type=OpenAPIType.OBJECT,
        one_of=[Schema(required=[URL_FIELD]), Schema(required=[UPLOAD_FIELD])],
        properties={
            UPLOAD_FIELD: Schema(
                type=OpenAPIType.STRING,
                format=OpenAPIFormat.UUID,
                description="The `upload_id` of `/v1/uploads/presigned`, after the upload to its URL.",
            ),
            URL_FIELD: Schema(
                type=OpenAPIType.STRING,
                pattern=r"^https?://[^\s\\/?#@]+([/?#][^\s\\]*)?$",
                max_length=MAX_URL_CHARS,
                description="The URL of the audio. Redirects are followed; the addresses must be public.",
            ),
            **OPTIONS,
        },
        additional_properties=False,
    ),
    examples={
        "url": Example(summary="A URL and an option", value={URL_FIELD: EXAMPLE_URL, "language": "en"}),
        "upload": Example(summary="A presigned upload", value={UPLOAD_FIELD: EXAMPLE_JOB_ID}),
    },
)


@dataclass
class FormUpload(Operation):
    """Adds a form with the file and its options in any order."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content={FORM_TYPE: FORM_BODY}, required=True)
        self.parameters = [*_query_parameters(), *HEADERS]


@dataclass
class AnyUpload(Operation):
    """Adds three bodies: a form, the audio alone with options in the query, or JSON with a URL or an upload id."""

    def __post_init__(self) -> None:
        raw = dict.fromkeys(("audio/*", "video/*", "application/octet-stream"), RAW_BODY)
        self.request_body = RequestBody(content={FORM_TYPE: FORM_BODY, **raw, JSON_TYPE: JSON_BODY}, required=True)
        self.parameters = [*_query_parameters(), *HEADERS]


@dataclass
class Waiting(Operation):
    """Adds the header with which a request waits for a job."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or []), PREFER]


def _query_parameters() -> list[Any]:
    typed = [Parameter(name=name, param_in="query", schema=OPTIONS[name]) for name in OPTIONS if name != "metadata"]
    any_json = {"application/json": OpenAPIMediaType(schema=Schema())}
    return [*typed, Parameter(name="metadata", param_in="query", content=any_json)]
