"""One log line a request: method, path template, status, milliseconds, job, key; and an id that all its lines carry.

The path is the route's template, never the path itself, and no query or content is logged; of the headers only
`X-Request-Id`. The answer names the id, and in `Server-Timing` the milliseconds. Here, too, uploads are counted.
"""

import random
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from ingest_service.auth.caller import key_id_of
from ingest_service.request_record import AT_HAND, RequestRecord
from ingest_service.telemetry.metrics import (
    RECEIVED_BYTES,
    UPLOAD_SECONDS,
    UPLOAD_STEP_SECONDS,
    UPLOADS_ACCEPTED,
    UPLOADS_OPEN,
    UPLOADS_REFUSED,
)
from ingest_service.telemetry.traces import trace_upload
from shared.ids import new_token
from shared.telemetry.logs import Log, bound

# Counts a request that ended, and says in `Server-Timing` what it waited for. Only uploads are counted.

UPLOAD_PATHS = frozenset({"/v1/jobs", "/api/upload-audio"})
RESUMABLE_PATH, RESUMABLE_METHODS = "/v1/uploads", frozenset({"POST", "PATCH"})


def is_upload(method: str, path: str) -> bool:
    """Whether a request hands in audio."""
    if method == "POST" and path.rstrip("/") in UPLOAD_PATHS:
        return True
    return method in RESUMABLE_METHODS and path.startswith(RESUMABLE_PATH)


def count_upload(record: RequestRecord) -> None:
    """Count an upload once its answer is out."""
    if record.accepted_job:
        UPLOADS_ACCEPTED.inc()
        UPLOAD_SECONDS.observe(record.elapsed_s())
        UPLOAD_STEP_SECONDS["receive"].observe(record.waited_s)
        UPLOAD_STEP_SECONDS["store"].observe(record.store_s())
        UPLOAD_STEP_SECONDS["commit"].observe(record.commit_s)
    elif record.problem:
        UPLOADS_REFUSED[record.problem].inc()


def server_timing(record: RequestRecord, *, upload: bool) -> str:
    """The header, in milliseconds: what an upload waited for, as far as it came, and the total."""
    receive = f"receive;dur={record.waited_s * 1000:.1f}, " if upload else ""
    commit = ""
    if record.commit_began_s is not None:
        commit = f"store;dur={record.store_s() * 1000:.1f}, commit;dur={record.commit_s * 1000:.1f}, "
    return f"{receive}{commit}total;dur={record.elapsed_s() * 1000:.1f}"


# The id of a request: the client's own, when it is fit to stand in a log and a header, else a new one.

HEADER = b"x-request-id"
OWN_BYTES = 16
FIT = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id by which log lines and the client name the request. A client that sends two gets a new one."""
    sent = [value for name, value in headers if name == HEADER]
    return sent[0].decode("ascii") if len(sent) == 1 and FIT.fullmatch(sent[0]) else new_token(OWN_BYTES)


log = Log("ingest_service.auth")

QUIET_PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})  # every few seconds: logged when they fail


def with_access_log(app: ASGIApp, sample: float = 1.0) -> ASGIApp:
    """Wrap an ASGI application. Of the requests that went well, `sample` of all are logged."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        upload = is_upload(scope["method"], scope["path"])
        own_id = request_id(scope["headers"])
        with recorded(own_id, upload=upload) as record:

            async def receive_timed() -> Any:
                began_s = time.perf_counter()
                message: Any = await receive()
                record.waited_s += time.perf_counter() - began_s
                if body := message.get("body"):
                    RECEIVED_BYTES.inc(len(body))
                return message

            async def send_marked(message: Message) -> None:
                if message["type"] == "http.response.start":
                    record.status = message["status"]
                    timing = server_timing(record, upload=upload)
                    marks = ((b"x-request-id", own_id.encode()), (b"server-timing", timing.encode()))
                    message["headers"] = [*message.get("headers", ()), *marks]
                await send(message)

            try:
                await app(scope, receive_timed, send_marked)
            finally:
                if _is_told(record, sample):
                    _log_request(scope, record)

    return logged


@contextmanager
def recorded(own_id: str, *, upload: bool) -> Iterator[RequestRecord]:
    """A request's record, at hand inside the block; an upload is counted at its end."""
    record = RequestRecord()
    token = AT_HAND.set(record)
    if upload:
        UPLOADS_OPEN.inc()
    try:
        with bound(request_id=own_id):
            yield record
    finally:
        AT_HAND.reset(token)
        if upload:
            UPLOADS_OPEN.dec()
            count_upload(record)
            trace_upload(record, own_id)


def _is_told(record: RequestRecord, sample: float) -> bool:
    """What has no status got no answer."""
    return not 0 < record.status < 400 or sample >= 1 or random.random() < sample  # noqa: S311 - nobody's secret


def _log_request(scope: Scope, record: RequestRecord) -> None:
    template = scope.get("path_template", "unknown")
    emit = log.debug if template in QUIET_PATHS and record.status < 400 else log.info
    known = {"job_id": _job_id(scope, record), "code": record.problem, "key_id": key_id_of(scope)}
    emit(
        "request",
        method=scope.get("method"),
        path=template,
        status=record.status,
        ms=round(record.elapsed_s() * 1000, 1),
        **{name: value for name, value in known.items() if value},
    )


def _job_id(scope: Scope, record: RequestRecord) -> str | None:
    """The job that was submitted or asked for; what stands in the path is logged only if it is an id."""
    named = scope.get("path_params", {}).get("job_id")
    if record.accepted_job or not isinstance(named, str):
        return str(record.accepted_job) if record.accepted_job else None
    try:
        return str(UUID(named))
    except ValueError:
        return None
