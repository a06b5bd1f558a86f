"""The problems of each route in the OpenAPI document, and examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Schema,
    SecurityRequirement,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from ingest_service.problem_types import PROBLEM_TYPES
from ingest_service.readiness import Readiness
from shared.schemas.api import JobAccepted, JobView, Problem

EXAMPLE_JOB_ID = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"

Specs = Mapping[int, ResponseSpec]

# The schema of a parameter that is a time. Handlers take its text: the framework would accept seconds as a number, too.
TIME = {"one_of": [Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME), Schema(type=OpenAPIType.NULL)]}


def problems(*codes: str) -> dict[int, ResponseSpec]:
    """Return the answers for some codes of PROBLEM_TYPES: one for each status, with an example for each code."""
    statuses = sorted({PROBLEM_TYPES[code].status for code in codes})
    return {status: _problem([code for code in codes if PROBLEM_TYPES[code].status == status]) for status in statuses}


def _problem(codes: list[str]) -> ResponseSpec:
    examples = [Example(id=code, summary=PROBLEM_TYPES[code].title, value=_example(code)) for code in codes]
    return ResponseSpec(
        Problem,
        generate_examples=False,
        description="; ".join(PROBLEM_TYPES[code].title for code in codes),
        media_type="application/problem+json",
        examples=examples,
    )


def _example(code: str) -> dict[str, object]:
    kind = PROBLEM_TYPES[code]
    return {"type": "about:blank", "title": kind.title, "status": kind.status, "code": code, "detail": kind.detail}


# Of every route. The 400 replaces the framework's own description, which routes with parameters would have.
ANY_ROUTE: Specs = problems("invalid_request", "internal")
# Of every route that needs a key, or, without keys, a loopback host and no foreign page.
ACCESS = {
    **ANY_ROUTE,
    **problems("unauthorized", "forbidden", "origin_not_allowed", "invalid_csrf_token"),
    **problems("rate_limited", "host_not_allowed"),
}
UNAVAILABLE = ACCESS | problems("database_unavailable", "storage_unavailable")
NOT_FOUND: Specs = ACCESS | problems("not_found", "database_unavailable")
WRONG_PARAMETER: Specs = ACCESS | problems("invalid_parameter", "database_unavailable")
SEARCH: Specs = ACCESS | problems("invalid_parameter", "search_too_broad", "database_unavailable")
BULK: Specs = ACCESS | problems("invalid_parameter", "unsupported_content_type", "too_large", "database_unavailable")
ONE_JOB: Specs = ACCESS | problems("not_found", "job_erased", "database_unavailable")
CANCEL: Specs = ACCESS | problems("not_found", "job_ended", "job_erased", "database_unavailable")
SEND_AGAIN: Specs = ACCESS | problems("not_found", "not_ended", "no_webhook", "job_erased", "database_unavailable")
TEST_WEBHOOK: Specs = ACCESS | problems(
    "invalid_option",
    "invalid_parameter",
    "invalid_request",
    "too_large",
    "unsupported_content_type",
    "quota_exceeded",
    "rate_limited",
    "database_unavailable",
)
VOICES: Specs = ACCESS | problems("no_voices", "invalid_request", "database_unavailable")
ONE_VOICE: Specs = ACCESS | problems("no_voices", "invalid_request", "not_found", "database_unavailable")
ADD_VOICE: Specs = ACCESS | problems(
    "no_voices",
    "invalid_parameter",
    "invalid_request",
    "not_found",
    "upload_claimed",
    "upload_gone",
    "too_large",
    "unsupported_content_type",
    "quota_exceeded",
    "rate_limited",
    "database_unavailable",
)
DIARIZE: Specs = ACCESS | problems(
    "invalid_option",
    "no_voices",
    "not_found",
    "not_ended",
    "job_failed",
    "job_cancelled",
    "job_erased",
    "audio_erased",
    "too_large",
    "quota_exceeded",
    "rate_limited",
    "database_unavailable",
)
REDRIVE: Specs = ACCESS | problems("not_found", "no_dead_letter", "job_erased", "audio_erased", "database_unavailable")
DISMISS: Specs = ACCESS | problems("not_found", "no_dead_letter", "database_unavailable")
RESULT_PROBLEMS: Specs = UNAVAILABLE | problems(
    "invalid_parameter",
    "not_found",
    "no_denoised_audio",
    "no_original",
    "edits_not_found",
    "not_ready",
    "job_failed",
    "job_cancelled",
    "edits_outdated",
    "job_erased",
)
READY: Specs = {
    **ANY_ROUTE,
    503: ResponseSpec(
        Readiness, generate_examples=False, description="Uploads are refused; `away` names the unavailable dependencies"
    ),
}

_LINKS = {
    "self": f"/v1/jobs/{EXAMPLE_JOB_ID}",
    "transcript": f"/v1/jobs/{EXAMPLE_JOB_ID}/transcript",
    "audio": f"/v1/jobs/{EXAMPLE_JOB_ID}/audio",
    "events": f"/v1/jobs/{EXAMPLE_JOB_ID}/events",
}
_SUBMIT_CODES = (
    "empty_upload missing_audio_file invalid_form invalid_option model_unavailable no_voices invalid_json "
    "invalid_digest digest_mismatch invalid_idempotency_key idempotency_in_progress idempotency_mismatch "
    "upload_stalled too_large unsupported_content_type unsupported_media unsupported_content_encoding storage_full "
    "quota_exceeded rate_limited"
).split()
_ACCEPTED: Specs = {
    201: ResponseSpec(
        JobView,
        generate_examples=False,
        description="With `Prefer: wait`: the job was over in time. It may have failed.",
    ),
    202: ResponseSpec(
        JobAccepted,
        generate_examples=False,
        description="Stored and queued. `Location` names the job.",
        examples=[Example(id="queued", value={"job_id": EXAMPLE_JOB_ID, "status": "QUEUED", "links": _LINKS})],
    ),
    **UNAVAILABLE,
}
SUBMIT: Specs = {**_ACCEPTED, **problems(*_SUBMIT_CODES)}
_OF_DIRECT = ("not_found", "upload_gone", "upload_not_there", "upload_claimed")
SUBMIT_REMOTE: Specs = {**_ACCEPTED, **problems(*_SUBMIT_CODES, *_OF_DIRECT)}

AUDIO: Specs = {
    200: ResponseSpec(bytes, generate_examples=False, description="The audio", media_type="audio/*"),
    206: ResponseSpec(bytes, generate_examples=False, description="The requested range", media_type="audio/*"),
    304: ResponseSpec(None, generate_examples=False, description="The client has this content, by its preconditions"),
    307: ResponseSpec(None, generate_examples=False, description="A URL of the bucket, if presigned downloads are on"),
    **problems("job_erased", "audio_erased"),
    **problems("precondition_failed"),
    **problems("range_not_satisfiable"),
}


ALERTS: Specs = ACCESS | problems("database_unavailable")  # the database has the keys
METRICS: Specs = {
    200: ResponseSpec(str, generate_examples=False, description="Metrics as Prometheus text", media_type="text/plain"),
    **ACCESS,
    **problems("database_unavailable"),  # the database has the keys
}


class Security(NamedTuple):
    """The ways to send an API key. One of them is enough."""

    schemes: Components
    either: Sequence[SecurityRequirement]


@dataclass
class MediaTypes(Operation):
    """Add the media types of video and of unknown containers: the framework describes one type only."""

    def __post_init__(self) -> None:
        described = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
        for status in ("200", "206"):
            response = (self.responses or {}).get(status)
            if isinstance(response, OpenAPIResponse):
                response.content = dict.fromkeys(("audio/*", "video/*", "application/octet-stream"), described)
