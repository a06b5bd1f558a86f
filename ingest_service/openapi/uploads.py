"""Bodies and options of uploads in the OpenAPI document, written by hand: handlers read the body as a stream.

Each operation has one structured body, because generators of clients use one of several only. The routes accept more
than the document says: options in the query, and JSON at `/v1/jobs`. The descriptions and docs/api.md name these.
"""

from dataclasses import dataclass
from typing import Any

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from ingest_service.openapi import speakers
from ingest_service.openapi.document import EXAMPLE_JOB_ID, UNAVAILABLE, Specs, problems
from ingest_service.uploads.from_url import MAX_URL_CHARS, URL_FIELD
from ingest_service.uploads.json_body import JSON_TYPE
from ingest_service.uploads.presigned_uploads import UPLOAD_FIELD
from ingest_service.uploads.receive import AUDIO_FIELD, FORM_TYPE
from shared.media.sniff_container import ACCEPTED
from shared.schemas.api import DirectUpload
from shared.schemas.called_urls import BLANKS
from shared.schemas.options import submission_schema
from shared.schemas.source_headers import FIELD as HEADERS_FIELD
from shared.schemas.source_headers import MAX_HEADERS

RAW_TYPE = "application/octet-stream"
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


EXAMPLE_URL = "https://example.com/interview.mp3"
EXAMPLE_FIELDS = {
    AUDIO_FIELD: "(the bytes of interview.mp3)",
    "language": "en",
    "webhook_url": "https://example.com/hook",
    "metadata": '{"call": 4711}',
}
METADATA_IN_FORM = {  # generators encode an object as JSON, and anything else as plain text
    "type": "object",
    "additionalProperties": True,
    "description": "Returned with the job. Any other JSON value is accepted, too.",
}


def _components() -> dict[str, dict[str, Any]]:
    """Return the JSON schemas of the bodies by name, with one of its own for each option that lists its values."""
    options, named = {}, {}
    for name, definition in submission_schema().items():
        given = _given(definition)
        if "enum" in given:
            title = name.title().replace("_", "")
            named[title] = {"type": "string", **given}
            given = {"$ref": f"#/components/schemas/{title}"}
        options[name] = given
    options |= speakers.IN_JSON
    return named | {
        FORM: _body({AUDIO_FIELD: BINARY, **options, **speakers.IN_FORM, "metadata": METADATA_IN_FORM}, AUDIO_FIELD),
        URL_BODY: _body({URL_FIELD: AUDIO_URL, HEADERS_FIELD: AUDIO_HEADERS, **options}, URL_FIELD),
        UPLOAD_BODY: _body({UPLOAD_FIELD: UPLOAD_ID, **options}, UPLOAD_FIELD),
    }


def _given(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an option that is given: one that is not has no null, but is left out."""
    given: dict[str, Any] = definition.get("anyOf", [definition])[0]
    default = definition.get("default")
    return given | ({} if default is None else {"default": default})


def _body(properties: dict[str, Any], required: str) -> dict[str, Any]:
    return {"type": "object", "required": [required], "properties": properties, "additionalProperties": False}


BINARY = {"type": "string", "format": "binary", "description": f"The audio: {ACCEPTED}."}
AUDIO_FILE = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description=BINARY["description"])
AUDIO_URL = {
    "type": "string",
    "pattern": rf"^([Hh][Tt][Tt][Pp][Ss]?://[^{BLANKS}\\/?#@]+([/?#][^{BLANKS}\\]*)?|s3://[a-z0-9.-]+/[^\\]+)$",
    "maxLength": MAX_URL_CHARS,
    "description": "The URL of the audio. Redirects are followed; the addresses must be public. Or `s3://bucket/key`,"
    " in a bucket that the service allows.",
}
AUDIO_HEADERS = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "maxProperties": MAX_HEADERS,
    "description": "Headers with which the URL is requested, such as `Authorization`. They are sent to its origin"
    " alone, stored encrypted, and erased when the audio is stored or the job ends.",
}
UPLOAD_ID = {
    "type": "string",
    "format": "uuid",
    "description": "The `upload_id` of `/v1/uploads/presigned`, after the upload to its URL.",
}
FORM, URL_BODY, UPLOAD_BODY = "SubmitForm", "SubmitUrl", "SubmitUpload"
COMPONENTS = _components() | speakers.COMPONENTS

FORM_BODY = OpenAPIMediaType(
    schema=Reference(ref=f"#/components/schemas/{FORM}"),
    examples={"form": Example(summary="A file and three options", value=EXAMPLE_FIELDS)},
)
RAW_BODY = OpenAPIMediaType(
    schema=Schema(
        type=OpenAPIType.STRING,
        format=OpenAPIFormat.BINARY,
        description="The audio alone. Options go into the query, each named like its field of the form. `audio/*` and"
        " `video/*` are accepted, too.",
    )
)
REMOTE_BODY = OpenAPIMediaType(
    schema=Schema(one_of=[Reference(ref=f"#/components/schemas/{name}") for name in (URL_BODY, UPLOAD_BODY)]),
    examples={
        "url": Example(summary="A URL and an option", value={URL_FIELD: EXAMPLE_URL, "language": "en"}),
        "upload": Example(summary="A presigned upload", value={UPLOAD_FIELD: EXAMPLE_JOB_ID}),
    },
)


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


@dataclass
class FormUpload(Operation):
    """Adds a form with the file and its options in any order."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content={FORM_TYPE: FORM_BODY}, required=True)
        self.parameters = [*HEADERS]


@dataclass
class AnyUpload(Operation):
    """Adds two bodies: a form, or the audio alone. The form is first: some generators use the first body only."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content={FORM_TYPE: FORM_BODY, RAW_TYPE: RAW_BODY}, required=True)
        self.parameters = [*HEADERS]


@dataclass
class Waiting(Operation):
    """Adds the header with which a request waits for a job."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or []), PREFER]


@dataclass
class RemoteUpload(Operation):
    """Adds JSON with a URL or an upload id, and options."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content={JSON_TYPE: REMOTE_BODY}, required=True)
        self.parameters = [*HEADERS]
