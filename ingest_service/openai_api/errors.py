"""Errors as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`.

The codes are those of our problems and failures. One wrapper turns every problem into such an error at OpenAI's paths:
those of our routes, of the framework, and of the other wrappers.
"""

import re
from collections.abc import Awaitable
from typing import Any

import msgspec
from litestar import Response
from litestar.types import ASGIApp, Receive, Send

from ingest_service.openai_api.paths import ENDS, PATHS
from ingest_service.request_record import note_problem
from shared.schemas.api import JobView, Problem
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus

PROBLEM_TYPE = b"application/problem+json"
NAMED = re.compile(r"`([a-z_]+(?:\[\])?)`")  # a detail begins with the field that is wrong
PARAM_OF_CODE = {
    "missing_audio_file": "file",
    "empty_upload": "file",
    "unsupported_media": "file",
    "too_large": "file",
    "model_unavailable": "model",
}
TYPE_OF_STATUS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

# The failures that the client causes: 400. Others are 500.
FAULTS_OF_REQUEST = frozenset(
    {
        FailureCode.UNDECODABLE_AUDIO,
        FailureCode.EMPTY_AUDIO,
        FailureCode.AUDIO_TOO_LONG,
        FailureCode.TOO_MUCH_AUDIO,
        FailureCode.NO_AUDIO_TRACK,
        FailureCode.UNSUPPORTED_CODEC,
        FailureCode.UNSUPPORTED_AUDIO,
        FailureCode.UNSUPPORTED_MEDIA,
        FailureCode.MODEL_UNAVAILABLE,
        FailureCode.PROVIDER_REFUSED,
    }
)
NO_RETRY = {"x-should-retry": "false"}  # clients repeat 409 and 5xx, but the processor has repeated the work already


class ErrorFields(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong. `param` is the field of the request, if it is one."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error at OpenAI's paths."""

    error: ErrorFields


def error_of(status: int, code: str, message: str) -> OpenAIError:
    """Return the body of an error."""
    kind = TYPE_OF_STATUS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return OpenAIError(error=ErrorFields(message=message, type=kind, param=_param(code, message), code=code))


def _param(code: str, message: str) -> str | None:
    named = NAMED.match(message)
    return named[1] if named else PARAM_OF_CODE.get(code)


def failure_of(job: JobView) -> tuple[int, OpenAIError]:
    """Return the status and the body for a job that ended without a transcript."""
    if job.status is JobStatus.CANCELLED or job.error is None:
        return 409, error_of(409, "job_cancelled", "The job was cancelled. Send the request again.")
    status = 400 if job.error.code in FAULTS_OF_REQUEST else 500
    return status, error_of(status, job.error.code, job.error.message)


def answer_failure(job: JobView, headers: dict[str, str]) -> Response[OpenAIError]:
    """Return the answer for a job that ended without a transcript. Clients do not repeat the request."""
    status, body = failure_of(job)
    note_problem(str(body.error.code))
    return Response(body, status_code=status, headers={**headers, **NO_RETRY})


def with_openai_errors(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application. Answers at other paths pass through unchanged."""

    def converting(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if not is_openai_path(scope["path"]):
            return app(scope, receive, send)
        return app(scope, receive, _Converter(send).send)

    return converting


def is_openai_path(path: str) -> bool:
    """Return whether OpenAI's clients use the path, with a right or a wrong base URL."""
    return path.startswith(PATHS) or path.endswith(ENDS)


class _Converter:
    """Holds back the head of a problem until its body, which is one message, and sends both as an error."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: Any = None

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start" and _is_problem(message["headers"]):
            self._head = message
        elif self._head is None:
            await self._send(message)
        else:
            head, self._head = self._head, None
            body = converted(message["body"])
            await self._send(head | {"headers": _headers(head["headers"], len(body))})
            await self._send(message | {"body": body})


def _is_problem(headers: Any) -> bool:
    return any(name == b"content-type" and value.startswith(PROBLEM_TYPE) for name, value in headers)


def _headers(headers: Any, size: int) -> list[tuple[bytes, bytes]]:
    kept = [header for header in headers if header[0] not in {b"content-type", b"content-length"}]
    return [(b"content-type", b"application/json"), (b"content-length", str(size).encode()), *kept]


def converted(body: bytes) -> bytes:
    """Return a problem's body as an error."""
    problem = msgspec.json.decode(body, type=Problem)
    return msgspec.json.encode(error_of(problem.status, problem.code, problem.detail))
