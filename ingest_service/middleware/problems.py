"""Every error answer: one table from code to status and title, and the handlers that make problem+json of exceptions.

What the client is told is in the table or in the exception's own sentence; a traceback goes to the log only.
"""

from collections.abc import Awaitable
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, ExceptionHandlersMap, Receive, Scope, Send

from ingest_service.errors import IngestError, LimitError, OutageError
from ingest_service.request_record import note_problem
from shared.blobs.blob_errors import BlobStoreError, BlobStoreFullError
from shared.schemas.api import Problem
from shared.telemetry.logs import Log

log = Log(__name__)

RETRY_AFTER_S = 5  # what a client should wait for a database or store that is away
RETRY_AFTER_FULL_S = 60  # room is made by results that are fetched and erased, or by somebody with a larger disk

PROBLEMS: dict[str, tuple[int, str]] = {
    # who asks
    "unauthorized": (401, "An API key is needed"),
    "forbidden": (403, "The API key is not for that"),
    "too_many_keys": (409, "Too many API keys"),
    # the upload
    "empty_upload": (400, "The upload is empty"),
    "missing_audio_file": (400, "No audio file in the form"),
    "invalid_form": (400, "The form cannot be read"),
    "invalid_option": (400, "An option is unknown or invalid"),
    "invalid_json": (400, "The JSON cannot be read"),
    "invalid_digest": (400, "A digest cannot be read"),
    "digest_mismatch": (400, "The content is not what its digest says"),
    "invalid_idempotency_key": (400, "The Idempotency-Key is invalid"),
    "upload_stalled": (408, "The upload stopped arriving"),
    "idempotency_in_progress": (409, "The first request with this Idempotency-Key is under way"),
    "too_large": (413, "The upload is too large"),
    "unsupported_content_type": (415, "Unsupported content type"),
    "unsupported_media": (415, "Not audio"),
    "unsupported_content_encoding": (415, "The body is encoded"),
    "idempotency_mismatch": (422, "The Idempotency-Key was used for something else"),
    "client_gone": (499, "The client closed the connection"),
    # limits
    "quota_exceeded": (429, "A quota is used up"),
    "rate_limited": (429, "Too many requests"),
    # resumable uploads
    "invalid_upload": (400, "A header of the upload is missing or invalid"),
    "upload_offset_mismatch": (409, "The upload's offset is another"),
    "upload_taken_over": (409, "A newer request works on the upload"),
    "upload_gone": (410, "The upload is gone"),
    "unsupported_version": (412, "Unsupported version of tus"),
    "upload_locked": (423, "Another request works on the upload"),
    "checksum_mismatch": (460, "The checksum is another"),
    # uploads straight into the bucket
    "no_direct_uploads": (404, "There are no such URLs here"),
    "upload_not_there": (409, "The upload's bytes are not there"),
    "upload_claimed": (409, "The upload is a job already"),
    # reading
    "invalid_parameter": (400, "A parameter is invalid"),
    "not_found": (404, "Not found"),
    "no_denoised_audio": (404, "There is no denoised audio"),
    "not_ready": (409, "The job is not finished"),
    "job_failed": (409, "The job failed"),
    "job_cancelled": (409, "The job was cancelled"),
    "job_erased": (410, "The job was erased"),
    "audio_erased": (410, "The audio was erased"),
    "range_not_satisfiable": (416, "The range is outside the audio"),
    # changing
    "no_dead_letter": (404, "The job has no dead letter"),
    "job_ended": (409, "The job has ended"),
    "not_ended": (409, "The job has not ended"),
    "no_webhook": (409, "The job has no webhook"),
    # what we stand on
    "internal": (500, "Internal error"),
    "database_unavailable": (503, "The database is away"),
    "storage_unavailable": (503, "The blob store is away"),
    "storage_full": (507, "The blob store is full"),
    # the framework's own, and the protocol's
    "invalid_request": (400, "The request is invalid"),
    "unsupported_upgrade": (400, "The connection cannot be upgraded"),
    "request_stalled": (408, "The request stopped arriving"),
    "head_too_large": (431, "The head of the request is too large"),
    "unsupported_transfer_encoding": (501, "Unsupported transfer coding"),
    "method_not_allowed": (405, "Method not allowed"),
}
HEADERS = {"unauthorized": {"WWW-Authenticate": "Bearer"}}  # RFC 9110 section 11.6.1
CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}

AnyRequest = Request[Any, Any, Any]


def problem(code: str, detail: str, headers: dict[str, str] | None = None) -> Response[Problem]:
    """The answer for a code of the table."""
    status, title = PROBLEMS[code]
    note_problem(code)
    body = Problem(title=title, status=status, code=code, detail=detail)
    return Response(body, status_code=status, media_type="application/problem+json", headers=headers)


def problem_of(error: Exception) -> Response[Problem]:
    """The answer to an exception outside of any route: HANDLERS' own, without a request."""
    if isinstance(error, IngestError):
        return answer_ingest_error(None, error)
    return answer_store_error(None, error) if isinstance(error, BlobStoreError) else answer_defect(None, error)


def answer_ingest_error(_: AnyRequest | None, error: IngestError) -> Response[Problem]:
    """Our own exceptions carry their code."""
    if isinstance(error, LimitError):
        return problem(error.code, error.detail, {"Retry-After": str(error.retry_after_s)})
    if not isinstance(error, OutageError):
        return problem(error.code, error.detail, HEADERS.get(error.code))
    log.error("outage", code=error.code, cause=str(error.__cause__))
    wait_s = RETRY_AFTER_FULL_S if error.code == "storage_full" else RETRY_AFTER_S
    return problem(error.code, error.detail, {"Retry-After": str(wait_s)})


def answer_store_error(request: AnyRequest | None, error: BlobStoreError) -> Response[Problem]:
    """The blob store failed outside of any use case's own handling: the detail would name paths, so it is logged."""
    full = isinstance(error, BlobStoreFullError)
    outage = OutageError(
        "storage_full" if full else "storage_unavailable",
        "There is no room for the audio." if full else "The audio cannot be stored or read now.",
    )
    outage.__cause__ = error
    return answer_ingest_error(request, outage)


def answer_http_exception(request: AnyRequest, error: HTTPException) -> Response[Problem]:
    """The framework's own: no route, wrong method, invalid parameters."""
    if error.status_code >= 500:
        return answer_defect(request, error)
    parameters = _invalid_parameters(error)
    if parameters:
        return problem("invalid_parameter", "; ".join(parameters))
    code = CODE_OF_STATUS.get(error.status_code, "invalid_request")
    return problem(code, error.detail, dict(error.headers or {}))


def _invalid_parameters(error: HTTPException) -> list[str]:
    items = error.extra if isinstance(error.extra, list) else []
    return [f"`{item['key']}`: {item['message']}" for item in items if isinstance(item, dict) and "key" in item]


def answer_defect(_: AnyRequest | None, error: Exception) -> Response[Problem]:
    """Whatever nobody expected: a defect of ours, logged with its traceback, told without."""
    log.error("defect", error=type(error).__name__, exc_info=True)  # noqa: LOG014 - called from one
    return problem("internal", "Something went wrong on our side; it has been logged.")


HANDLERS: ExceptionHandlersMap = {
    IngestError: answer_ingest_error,
    BlobStoreError: answer_store_error,
    HTTPException: answer_http_exception,
    Exception: answer_defect,
}


# Sends an exception's answer from outside of the framework, for requests that never reach it.


async def send_problem(send: Send, error: Exception) -> None:
    """The same answer that a route's exception gets."""
    problem = problem_of(error)
    body = msgspec.json.encode(problem.content)
    headers = [
        (b"content-type", b"application/problem+json"),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": problem.status_code or 500, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


# Headers on every answer that keep a browser from making a page of it. Not one of our answers is a page.
#
# An answer that has such a header already keeps its own.

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),  # for browsers that do not know frame-ancestors
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),  # somebody's transcript in a shared cache would be somebody else's
)


def with_security_headers(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application."""

    def secured(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        async def send_secured(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": secured_headers(message["headers"])}
            await send(message)

        return app(scope, receive, send_secured if scope["type"] == ScopeType.HTTP else send)

    return secured


def secured_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, and those of ours that are not among them."""
    present = {name.lower() for name, _ in headers}
    return [*headers, *(header for header in SECURITY_HEADERS if header[0] not in present)]


# Problem answers made without the framework: for requests that are refused before it gets to see them.

DETAILS = {
    "head_too_large": "The request line and headers are too long, or too many.",
    "unsupported_upgrade": "Send the body over HTTP/1.1, without Upgrade.",
    "request_stalled": "The head of the request did not arrive in time.",
    "invalid_request": "This is not HTTP as it is written.",
    "unsupported_content_encoding": "Send the body as it is, without Content-Encoding.",
    "unsupported_transfer_encoding": "The only Transfer-Encoding that is taken is chunked.",
}
PLAIN_HEADERS = {"unsupported_content_encoding": [(b"accept-encoding", b"identity")]}  # RFC 9110 section 15.5.16


class PlainProblem(NamedTuple):
    """An answer with everything but the words `Connection: close`."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def send(self, send: Send) -> None:
        """As the answer of an ASGI application."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})

    def last_bytes(self) -> bytes:
        """As it stands on the wire, ending the connection."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in [*self.headers, (b"connection", b"close")]]
        return b"\r\n".join([*lines, b"", self.body])


@cache
def plain_problem(code: str) -> PlainProblem:
    """The answer for a code of the table that has a detail here."""
    status, title = PROBLEMS[code]
    body = msgspec.json.encode(Problem(title=title, status=status, code=code, detail=DETAILS[code]))
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        *PLAIN_HEADERS.get(code, []),
    ]
    return PlainProblem(status, secured_headers(headers), body)
