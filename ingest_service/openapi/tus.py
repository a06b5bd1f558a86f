"""Describes the resumable uploads for OpenAPI: by hand, since their facts travel in headers, both ways."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from ingest_service.openapi.document import ACCESS, Specs, problems
from ingest_service.tus.answer_headers import VERSION
from ingest_service.tus.headers import ALGORITHMS, OFFSET_TYPE

BYTES = Schema(type=OpenAPIType.INTEGER, minimum=0)
TEXT = Schema(type=OpenAPIType.STRING)
BODY = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
CHECKSUM = Schema(type=OpenAPIType.STRING, pattern=rf"^({'|'.join(ALGORITHMS)}) [A-Za-z0-9+/]+=*$")


def _parameter(name: str, schema: Schema, description: str, *, required: bool = False) -> Parameter:
    return Parameter(name=name, param_in="header", schema=schema, description=description, required=required)


SPEAKS_TUS = _parameter(
    "Tus-Resumable", Schema(type=OpenAPIType.STRING, enum=[VERSION]), "The version of the protocol.", required=True
)
OFFSET = _parameter("Upload-Offset", BYTES, "Where the bytes belong: the upload's offset.", required=True)
LENGTH = _parameter("Upload-Length", BYTES, "The bytes of the whole upload; once, if it was deferred.")
DEFERRED = _parameter(
    "Upload-Defer-Length", Schema(type=OpenAPIType.STRING, enum=["1"]), "Instead of a length that is not known yet."
)
METADATA = _parameter(
    "Upload-Metadata",
    TEXT,
    "`filename` and any option of a job, each followed by its value in base64: `language ZW4=`.",
)
SUM = _parameter("Upload-Checksum", CHECKSUM, "Of this body, in base64. When it is wrong, none of the body counts.")


@dataclass
class OfUpload(Operation):
    """A request about an upload."""

    def __post_init__(self) -> None:
        self.parameters = _with_parameters(self.parameters, SPEAKS_TUS)


@dataclass
class Create(Operation):
    """A new upload, perhaps with its first bytes."""

    def __post_init__(self) -> None:
        self.parameters = _with_parameters(self.parameters, SPEAKS_TUS, LENGTH, DEFERRED, METADATA, SUM)
        self.request_body = RequestBody(content={OFFSET_TYPE: BODY}, required=False)


@dataclass
class Append(Operation):
    """Bytes behind those that are there."""

    def __post_init__(self) -> None:
        self.parameters = _with_parameters(self.parameters, SPEAKS_TUS, OFFSET, LENGTH, SUM)
        self.request_body = RequestBody(content={OFFSET_TYPE: BODY}, required=True)


def _with_parameters(given: Sequence[Any] | None, *more: Parameter) -> list[Any]:
    return [*(given or ()), *more]


def _answer(status: int, description: str) -> Specs:
    return {status: ResponseSpec(None, generate_examples=False, description=description)}


ABOUT = ACCESS | problems("not_found", "upload_gone", "unsupported_version", "upload_locked", "database_unavailable")
STORING = ACCESS | problems(
    "invalid_upload",
    "checksum_mismatch",
    "upload_stalled",
    "too_large",
    "unsupported_content_type",
    "unsupported_media",
    "storage_full",
    "quota_exceeded",
    "rate_limited",
    "database_unavailable",
    "storage_unavailable",
)
OPTIONS: Specs = _answer(204, "`Tus-Version`, `Tus-Extension`, `Tus-Checksum-Algorithm` and `Tus-Max-Size` say it")
CREATE: Specs = {
    **_answer(201, "Created; `Location` names it, `Upload-Offset` how much of it came along"),
    **STORING,
    **problems("unsupported_version"),
    **problems("invalid_upload", "invalid_option", "empty_upload"),
}
SHOW: Specs = {
    **_answer(200, "`Upload-Offset`, `Upload-Length`, `Upload-Expires`; `Headrace-Job-Id` once it is a job"),
    **ABOUT,
    **problems("unsupported_media", "quota_exceeded", "rate_limited"),
    **problems("database_unavailable", "storage_unavailable"),
}
APPEND: Specs = {
    **_answer(204, "`Upload-Offset` is the new one; `Headrace-Job-Id` and `Content-Location` name the job"),
    **ABOUT,
    **STORING,
    **problems("upload_offset_mismatch", "upload_taken_over"),
}
TERMINATE: Specs = {**_answer(204, "Its bytes are removed"), **ABOUT}
