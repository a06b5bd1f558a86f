"""Every error answer: one table from code to status and title, and the handlers that make problem+json of exceptions.

What the client is told is in the table or in the exception's own sentence; a traceback goes to the log only.
"""

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

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
