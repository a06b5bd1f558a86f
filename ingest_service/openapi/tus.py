"""Resumable uploads in the OpenAPI document, written by hand: their facts are in headers of requests and answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from ingest_service.openapi.document import ACCESS, ANY_ROUTE, Specs, problems
from ingest_service.tus.headers import ALGORITHMS, OFFSET_TYPE, VERSION
from ingest_service.uploads.json_body import JSON_TYPE, MAX_JSON_BYTES

BYTES = Schema(type=OpenAPIType.INTEGER, minimum=0)
TEXT = Schema(type=OpenAPIType.STRING)
# The type that generators know. tus clients send another.
BODY = {
    "application/octet-stream": OpenAPIMediaType(
        schema=Schema(
            type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description=f"tus clients send `{OFFSET_TYPE}`."
        )
    )
}
CHECKSUM = Schema(type=OpenAPIType.STRING, pattern=rf"^({'|'.join(ALGORITHMS)}) [A-Za-z0-9+/]+=*$")


def _parameter(name: str, schema: Schema, description: str, *, required: bool = False) -> Parameter:
    return Parameter(name=name, param_in="header", schema=schema, description=description, required=required)


TUS_RESUMABLE = _parameter(
    "Tus-Resumable", Schema(type=OpenAPIType.STRING, enum=[VERSION]), "The version of the protocol.", required=True
)
OFFSET = _parameter("Upload-Offset", BYTES, "The position of the bytes: the upload's offset.", required=True)
LENGTH = _parameter("Upload-Length", BYTES, "The size of the whole upload, in bytes. Send it once if it was deferred.")
DEFERRED = _parameter(
    "Upload-Defer-Length", Schema(type=OpenAPIType.STRING, enum=["1"]), "Send this if the length is not known yet."
)
METADATA = _parameter(
    "Upload-Metadata",
    TEXT,
    "`filename` and options of the job, each followed by its value in base64: `language ZW4=`.",
)
SUM = _parameter(
    "Upload-Checksum", CHECKSUM, "The checksum of this body, in base64. If it does not match, the body is discarded."
)


@dataclass
class OfUpload(Operation):
    """Adds the headers of a request for an existing upload."""

    def __post_init__(self) -> None:
        self.parameters = _with_parameters(self.parameters, TUS_RESUMABLE)


OPTIONS_BODY = OpenAPIMediaType(
    schema=Schema(
        type=OpenAPIType.OBJECT,
        description=f"Options of the job that are too long for `Upload-Metadata`: up to {MAX_JSON_BYTES} bytes.",
    )
)


@dataclass
class Create(Operation):
    """Adds the headers and the body of a new upload."""

    def __post_init__(self) -> None:
        self.parameters = _with_parameters(self.parameters, TUS_RESUMABLE, LENGTH, DEFERRED, METADATA, SUM)
        self.request_body = RequestBody(content=BODY | {JSON_TYPE: OPTIONS_BODY}, required=False)


@dataclass
class Append(Operation):
    """Adds the headers and the body of appended bytes."""

    def __post_init__(self) -> None:
        self.parameters = _with_parameters(self.parameters, TUS_RESUMABLE, OFFSET, LENGTH, SUM)
        self.request_body = RequestBody(content=BODY, required=True)


def _with_parameters(given: Sequence[Any] | None, *more: Parameter) -> list[Any]:
    return [*(given or ()), *more]


def _answer(status: int, description: str) -> Specs:
    return {status: ResponseSpec(None, generate_examples=False, description=description)}


ABOUT = ACCESS | problems("not_found", "upload_gone", "unsupported_version", "upload_locked", "database_unavailable")
STORING = ACCESS | problems(
    *("invalid_upload", "checksum_mismatch", "upload_stalled", "too_large", "unsupported_content_type"),
    *("unsupported_media", "storage_full", "quota_exceeded", "rate_limited"),
    *("database_unavailable", "storage_unavailable"),
)
OPTIONS: Specs = {
    **_answer(204, "The features, in `Tus-Version`, `Tus-Extension`, `Tus-Checksum-Algorithm` and `Tus-Max-Size`"),
    **ANY_ROUTE,
}
CREATE: Specs = {
    **_answer(201, "Created. `Location` names it; `Upload-Offset` is the number of stored bytes."),
    **STORING,
    **problems("unsupported_version"),
    **problems("invalid_upload", "invalid_option", "invalid_json", "empty_upload"),
}
SHOW: Specs = {
    **_answer(200, "`Upload-Offset`, `Upload-Length`, `Upload-Expires`; `Headrace-Job-Id` if it became a job"),
    **ABOUT,
    **problems("unsupported_media", "quota_exceeded", "rate_limited"),
    **problems("database_unavailable", "storage_unavailable"),
}
APPEND: Specs = {
    **_answer(204, "`Upload-Offset` is the new offset; `Headrace-Job-Id` and `Content-Location` name the job"),
    **ABOUT,
    **STORING,
    **problems("upload_offset_mismatch", "upload_taken_over"),
}
TERMINATE: Specs = {**_answer(204, "The upload's bytes are deleted"), **ABOUT}
