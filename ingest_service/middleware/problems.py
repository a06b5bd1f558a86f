"""Answer errors with problem+json (RFC 9457): exceptions inside and outside of the framework, and refused requests.

Clients see the texts of `problem_types` or the exception's own detail. Tracebacks go to the log only.
"""

from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap, Send

from ingest_service.errors import IngestError, LimitError, OutageError
from ingest_service.middleware.answer_headers import missing_security_headers
from ingest_service.middleware.head import allowed_methods
from ingest_service.openai_api.paths import ENDS
from ingest_service.problem_types import PROBLEM_TYPES
from ingest_service.readiness import OUTAGES
from ingest_service.request_record import note_problem
from shared.allowed_values import allowed_each
from shared.blobs.blob_errors import BlobStoreError, BlobStoreFullError
from shared.schemas.api import Problem
from shared.telemetry.logs import Log

log = Log(__name__)

RETRY_AFTER_S = 5  # while the database or the blob store is unavailable
RETRY_AFTER_FULL_S = 60  # erasing results or adding disk space takes longer

HEADERS = {"unauthorized": {"WWW-Authenticate": "Bearer"}}  # RFC 9110 section 11.6.1
DEPENDENCIES = {"database_unavailable": "database", "storage_unavailable": "storage", "storage_full": "storage_space"}
ASR_PATHS = frozenset({"/asr", "/detect-language"})
CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}

AnyRequest = Request[Any, Any, Any]


def problem(code: str, detail: str = "", headers: dict[str, str] | None = None) -> Response[Problem]:
    """Return the answer for a code of PROBLEM_TYPES, with the table's detail if none is given."""
    note_problem(code)
    body = _body(code, detail)
    return Response(body, status_code=body.status, media_type="application/problem+json", headers=headers)


def _body(code: str, detail: str) -> Problem:
    kind = PROBLEM_TYPES[code]
    return Problem(title=kind.title, status=kind.status, code=code, detail=detail or kind.detail)


# Exceptions that the framework catches.


def answer_ingest_error(_: AnyRequest | None, error: IngestError) -> Response[Problem]:
    """Answer our own exceptions, which carry their code."""
    if isinstance(error, LimitError):
        return problem(error.code, error.detail, {"Retry-After": str(error.retry_after_s)})
    if not isinstance(error, OutageError):
        return problem(error.code, error.detail, HEADERS.get(error.code))
    OUTAGES.failed(error.__cause__, DEPENDENCIES.get(error.code, error.code))
    wait_s = RETRY_AFTER_FULL_S if error.code == "storage_full" else RETRY_AFTER_S
    return problem(error.code, error.detail, {"Retry-After": str(wait_s)})


def answer_store_error(request: AnyRequest | None, error: BlobStoreError) -> Response[Problem]:
    """Answer an error of the blob store that no use case handled. Its text names paths, so it is only logged."""
    outage = OutageError("storage_full" if isinstance(error, BlobStoreFullError) else "storage_unavailable", "")
    outage.__cause__ = error
    return answer_ingest_error(request, outage)


def answer_http_exception(request: AnyRequest, error: HTTPException) -> Response[Problem]:
    """Answer the framework's exceptions: no route, wrong method, invalid parameters."""
    if error.status_code >= 500:
        return answer_defect(request, error)
    if parameters := _invalid_parameters(request, error):
        return problem("invalid_parameter", f"{'; '.join(parameters)}.")
    code = CODE_OF_STATUS.get(error.status_code, "invalid_request")
    headers = dict(error.headers or {})
    if "allow" in headers:
        headers["allow"] = allowed_methods(headers["allow"].split(", "))
    return problem(code, _detail(code, request.url.path, headers), headers)


def _detail(code: str, path: str, headers: dict[str, str]) -> str:
    """Return what to do. The framework's own text may have the path and the query."""
    if code == "method_not_allowed" and "allow" in headers:
        return f"This path takes {headers['allow']}."
    return why_no_route(path) if code == "not_found" else ""


def why_no_route(path: str) -> str:
    """Return what to do about a path that no route has."""
    if path in ASR_PATHS:
        return "This path is off. The setting `HEADRACE_ASR_ROUTES=true` of the service turns it on."
    if path.endswith(ENDS):
        return "OpenAI's API begins at `/v1` here. Let the client's base URL end with one `/v1`."
    return "There is no such path. `/docs` and `/schema` list all."


def _invalid_parameters(request: AnyRequest, error: HTTPException) -> list[str]:
    """Return a sentence for each invalid parameter. A body's type is checked before."""
    items = [item for item in error.extra or () if isinstance(item, dict) and "key" in item]
    return [_why_invalid(request.route_handler, item["key"].partition(".")[0]) for item in items]


def _why_invalid(handler: Any, argument: str) -> str:
    """Return what a parameter must be. Its name may differ from that of the handler's argument."""
    name = getattr(handler.parsed_fn_signature.parameters[argument].kwarg_definition, "name", None) or argument
    return f"`{name}` must be {allowed_each(handler.signature_model.__annotations__[argument])}"


def answer_defect(_: AnyRequest | None, error: Exception) -> Response[Problem]:
    """Answer an unexpected exception, and log its traceback."""
    log.error("defect", error=type(error).__name__, exc_info=True)  # noqa: LOG014 - called from an except block
    return problem("internal")


HANDLERS: ExceptionHandlersMap = {
    IngestError: answer_ingest_error,
    BlobStoreError: answer_store_error,
    HTTPException: answer_http_exception,
    Exception: answer_defect,
}


# Exceptions outside of the framework: in wrappers and on the fast path.


async def send_problem(send: Send, error: Exception) -> None:
    """Send the answer that a route would give for the exception."""
    response = _answer_exception(error)
    body = msgspec.json.encode(response.content)
    headers = [
        (b"content-type", b"application/problem+json"),
        *((name.lower().encode(), value.encode()) for name, value in response.headers.items()),
        (b"content-length", str(len(body)).encode()),
    ]
    await PlainAnswer(response.status_code or 500, headers, body).send(send)


def _answer_exception(error: Exception) -> Response[Problem]:
    if isinstance(error, IngestError):
        return answer_ingest_error(None, error)
    return answer_store_error(None, error) if isinstance(error, BlobStoreError) else answer_defect(None, error)


# Refused requests that have no exception.

PLAIN_HEADERS = {"unsupported_content_encoding": [(b"accept-encoding", b"identity")]}  # RFC 9110 section 15.5.16


class PlainAnswer(NamedTuple):
    """A complete answer, encoded once."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def send(self, send: Send) -> None:
        """Send it as an ASGI application."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})

    def last_bytes(self) -> bytes:
        """Return the bytes on the wire, with `Connection: close`."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in [*self.headers, (b"connection", b"close")]]
        return b"\r\n".join([*lines, b"", self.body])


@cache
def plain_problem(code: str) -> PlainAnswer:
    """Return the answer for a code of PROBLEM_TYPES, with the table's detail."""
    body = msgspec.json.encode(_body(code, ""))
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        *PLAIN_HEADERS.get(code, []),
    ]
    return PlainAnswer(PROBLEM_TYPES[code].status, headers + missing_security_headers(headers), body)
