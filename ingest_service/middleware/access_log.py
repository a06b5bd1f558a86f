"""Log one line a request, give the request an id that all its log lines carry, and count uploads.

The line has the path template, and the path itself only if no route has it. It has no query, no content, and no header
but `X-Request-Id`. The answer has the id in `X-Request-Id` and the durations in `Server-Timing`.
"""

import random
import re
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from litestar.types import ASGIApp, Receive, Send

from ingest_service.auth.caller import key_id_of
from ingest_service.middleware.answer_headers import Headers, adding_headers
from ingest_service.openai_api.paths import AUDIO_PATHS
from ingest_service.readiness import OUTAGES
from ingest_service.request_record import CURRENT_REQUEST, RequestRecord
from ingest_service.telemetry import metrics
from ingest_service.telemetry.traces import trace_upload
from shared.ids import new_token
from shared.telemetry.logs import Log, bound

log = Log("ingest_service.access")

QUIET_PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})  # polled every few seconds: debug if successful
UPLOAD_PATHS = frozenset({"/v1/jobs", "/v1/jobs/remote", "/api/upload-audio"})
RESUMABLE_PATH, RESUMABLE_METHODS = "/v1/uploads", frozenset({"POST", "PATCH"})
UNKNOWN, NOT_FOUND = "unknown", 404
MAX_SHOWN_PATH = 200
ID_HEADER = b"x-request-id"
ID_BYTES = 16
VALID_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")


def with_access_log(app: ASGIApp, sample: float = 1.0) -> ASGIApp:
    """Wrap an ASGI application. Log the fraction `sample` of successful requests, and all failed requests."""

    async def logged(scope: Any, receive: Receive, send: Send) -> None:
        upload = is_upload(scope["method"], scope["path"])
        own_id = request_id(scope["headers"])
        record = RequestRecord()
        if upload:
            _begin_upload(record, own_id)

        async def receive_timed() -> Any:
            began_s = time.perf_counter()
            message: Any = await receive()
            record.waited_s += time.perf_counter() - began_s
            if body := message.get("body"):
                metrics.RECEIVED_BYTES.inc(len(body))
            return message

        def id_and_timing(message: Any) -> Headers:
            record.status = message["status"]
            timing = server_timing(record, upload=upload)
            return [(b"x-request-id", own_id.encode()), (b"server-timing", timing.encode())]

        token = CURRENT_REQUEST.set(record)
        try:
            with bound(request_id=own_id):
                try:
                    await app(scope, receive_timed, adding_headers(send, id_and_timing))
                finally:
                    if _is_logged(record, sample):
                        _log_request(scope, record)
        finally:
            CURRENT_REQUEST.reset(token)
            record.end_upload()

    return logged


def _begin_upload(record: RequestRecord, own_id: str) -> None:
    """Count an open upload until `record.end_upload` is called first."""

    def end() -> None:
        record.end_upload = lambda: None
        metrics.UPLOADS_OPEN.dec()
        count_upload(record)
        trace_upload(record, own_id)

    metrics.UPLOADS_OPEN.inc()
    record.end_upload = end


def _is_logged(record: RequestRecord, sample: float) -> bool:
    is_successful = 0 < record.status < 400  # 0: no answer was sent
    return not is_successful or sample >= 1 or random.random() < sample  # noqa: S311 - no secret


def _log_request(scope: Any, record: RequestRecord) -> None:
    template = scope.get("path_template", UNKNOWN)
    emit = log.debug if template in QUIET_PATHS and record.status < 400 else log.info
    not_found = _shown_path(scope["path"]) if template == UNKNOWN and record.status == NOT_FOUND else None
    known = {
        "not_found_path": not_found,
        "job_id": _job_id(scope, record),
        "code": record.problem,
        "key_id": key_id_of(scope),
    }
    emit(
        "request",
        method=scope.get("method"),
        path=template,
        status=record.status,
        ms=round(record.elapsed_s() * 1000, 1),
        **{name: value for name, value in known.items() if value},
    )


def _shown_path(path: str) -> str:
    """Return a path for the log: printable, at most MAX_SHOWN_PATH characters, without what may be a secret."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in path[:MAX_SHOWN_PATH])
    return f"{shown}…" if len(path) > MAX_SHOWN_PATH else shown


def _job_id(scope: Any, record: RequestRecord) -> str | None:
    """Return the submitted job, or the job in the path. A part of the path is logged only if it is a UUID."""
    named = scope.get("path_params", {}).get("job_id")
    if record.accepted_job or not isinstance(named, str):
        return str(record.accepted_job) if record.accepted_job else None
    try:
        return str(UUID(named))
    except ValueError:
        return None


def is_upload(method: str, path: str) -> bool:
    """Return whether a request uploads audio."""
    if method == "POST" and (path.rstrip("/") in UPLOAD_PATHS or path.startswith(AUDIO_PATHS)):
        return True
    return method in RESUMABLE_METHODS and path.startswith(RESUMABLE_PATH)


def count_upload(record: RequestRecord) -> None:
    """Count an upload after its answer."""
    if record.accepted_job:
        OUTAGES.worked("database", "storage", "storage_space")
        metrics.UPLOADS_ACCEPTED.inc()
        metrics.UPLOAD_SECONDS.observe(record.elapsed_s())
        metrics.UPLOAD_STEP_SECONDS["receive"].observe(record.waited_s)
        metrics.UPLOAD_STEP_SECONDS["store"].observe(record.store_s())
        metrics.UPLOAD_STEP_SECONDS["commit"].observe(record.commit_s)
    elif record.problem:
        metrics.UPLOADS_REFUSED[record.problem].inc()


def server_timing(record: RequestRecord, *, upload: bool) -> str:
    """Return the header's value, in milliseconds: the steps of an upload that were reached, and the total."""
    receive = f"receive;dur={record.waited_s * 1000:.1f}, " if upload else ""
    commit = ""
    if record.commit_began_s is not None:
        commit = f"store;dur={record.store_s() * 1000:.1f}, commit;dur={record.commit_s * 1000:.1f}, "
    return f"{receive}{commit}total;dur={record.elapsed_s() * 1000:.1f}"


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the client's request id if it is valid and the only one, otherwise a new id."""
    sent = [value for name, value in headers if name == ID_HEADER]
    return sent[0].decode("ascii") if len(sent) == 1 and VALID_ID.fullmatch(sent[0]) else new_token(ID_BYTES)
