"""What the OpenAPI document at `/schema` says beyond the handlers' types: which problems each route answers, examples.

The document is served as JSON: the usual viewers would be loaded from somebody else's servers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from litestar import Router
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Example, OpenAPIResponse, Operation, SecurityRequirement

from ingest_service.auth.caller import OPEN
from ingest_service.middleware.problems import PROBLEMS
from ingest_service.server.readiness import Readiness
from shared.schemas.api import JobAccepted, Problem

EXAMPLE_JOB_ID = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"

Specs = Mapping[int, ResponseSpec]


def _problems(*codes: str) -> dict[int, ResponseSpec]:
    """The answers for some codes of the table: one a status, an example a code."""
    statuses = sorted({PROBLEMS[code][0] for code in codes})
    return {status: _problem([code for code in codes if PROBLEMS[code][0] == status]) for status in statuses}


def _problem(codes: list[str]) -> ResponseSpec:
    examples = [Example(id=code, summary=PROBLEMS[code][1], value=_example(code)) for code in codes]
    return ResponseSpec(
        Problem,
        generate_examples=False,
        description="; ".join(PROBLEMS[code][1] for code in codes),
        media_type="application/problem+json",
        examples=examples,
    )


def _example(code: str) -> dict[str, object]:
    status, title = PROBLEMS[code]
    return {"type": "about:blank", "title": title, "status": status, "code": code, "detail": f"{title}."}


problems = _problems  # for descriptions in files of their own

ACCESS = _problems("unauthorized", "forbidden", "rate_limited")  # of every route but those that are open
AWAY = ACCESS | _problems("database_unavailable", "storage_unavailable")
# The framework would say of every route with a parameter that it has a 400 of its own.
ANY_REQUEST = ACCESS | _problems("invalid_request")
NOT_FOUND: Specs = ANY_REQUEST | _problems("not_found", "database_unavailable")
WRONG_PARAMETER: Specs = ACCESS | _problems("invalid_parameter", "database_unavailable")
ONE_JOB: Specs = ANY_REQUEST | _problems("not_found", "job_erased", "database_unavailable")
CANCEL: Specs = ANY_REQUEST | _problems("not_found", "job_ended", "job_erased", "database_unavailable")
SEND_AGAIN: Specs = ANY_REQUEST | _problems(
    "not_found", "not_ended", "no_webhook", "job_erased", "database_unavailable"
)
REDRIVE: Specs = ANY_REQUEST | _problems(
    "not_found", "no_dead_letter", "job_erased", "audio_erased", "database_unavailable"
)
DISMISS: Specs = ANY_REQUEST | _problems("not_found", "no_dead_letter", "database_unavailable")
RESULT_PROBLEMS: Specs = AWAY | _problems(
    "invalid_parameter", "not_found", "no_denoised_audio", "not_ready", "job_failed", "job_cancelled", "job_erased"
)
READY: Specs = {503: ResponseSpec(Readiness, generate_examples=False, description="They are not; `away` says why")}

_LINKS = {
    "self": f"/v1/jobs/{EXAMPLE_JOB_ID}",
    "transcript": f"/v1/jobs/{EXAMPLE_JOB_ID}/transcript",
    "audio": f"/v1/jobs/{EXAMPLE_JOB_ID}/audio",
    "events": f"/v1/jobs/{EXAMPLE_JOB_ID}/events",
}
_SUBMIT_CODES = (
    "empty_upload",
    "missing_audio_file",
    "invalid_form",
    "invalid_option",
    "invalid_json",
    "invalid_digest",
    "digest_mismatch",
    "invalid_idempotency_key",
    "idempotency_in_progress",
    "idempotency_mismatch",
    "upload_stalled",
    "too_large",
    "unsupported_content_type",
    "unsupported_media",
    "unsupported_content_encoding",
    "storage_full",
    "quota_exceeded",
    "rate_limited",
)
_ACCEPTED: Specs = {
    202: ResponseSpec(
        JobAccepted,
        generate_examples=False,
        description="Stored and queued; `Location` names the job",
        examples=[Example(id="queued", value={"job_id": EXAMPLE_JOB_ID, "status": "QUEUED", "links": _LINKS})],
    ),
    **AWAY,
}
SUBMIT: Specs = {**_ACCEPTED, **_problems(*_SUBMIT_CODES)}
_OF_DIRECT = ("not_found", "upload_gone", "upload_not_there", "upload_claimed")
SUBMIT_ANY: Specs = {**_ACCEPTED, **_problems(*_SUBMIT_CODES, *_OF_DIRECT)}

AUDIO: Specs = {
    200: ResponseSpec(bytes, generate_examples=False, description="The audio", media_type="audio/*"),
    206: ResponseSpec(bytes, generate_examples=False, description="The range asked for", media_type="audio/*"),
    307: ResponseSpec(None, generate_examples=False, description="Where to get it, if the service hands out such URLs"),
    **_problems("job_erased", "audio_erased"),
    **_problems("range_not_satisfiable"),
}


METRICS: Specs = {
    200: ResponseSpec(str, generate_examples=False, description="Prometheus' text", media_type="text/plain"),
    **ACCESS,
    **_problems("database_unavailable"),  # which knows the keys
}


class Security(NamedTuple):
    """The ways to show a key, any of which will do."""

    schemes: Components
    either: Sequence[SecurityRequirement]


@dataclass
class MediaTypes(Operation):
    """Adds the media types of video and of what is unknown: a response is described in one otherwise."""

    def __post_init__(self) -> None:
        for status in ("200", "206"):
            response = (self.responses or {}).get(status)
            if isinstance(response, OpenAPIResponse) and response.content is not None:
                described = response.content["audio/*"]
                response.content |= dict.fromkeys(("video/*", "application/octet-stream"), described)


def openapi_config(version: str, *, security: Security | None = None) -> OpenAPIConfig:
    """The document, at `/schema` and `/schema/openapi.json`; `security`: how to show a key, where one is needed."""
    return OpenAPIConfig(
        title="Headrace",
        version=version,
        description="Takes audio in at any rate and transcribes it at its own pace. Errors are problem+json.",
        use_handler_docstrings=True,
        components=security.schemes if security else Components(),
        security=list(security.either) if security else None,
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, opt=OPEN),
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
    )
