"""One log line a request: method, path template, status, milliseconds, job, key; and an id that all its lines carry.

The path is the route's template, never the path itself, and no query or content is logged; of the headers only
`X-Request-Id`. The answer names the id, and in `Server-Timing` the milliseconds. Here, too, uploads are counted.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from ingest_service.auth.caller import key_id_of
from ingest_service.middleware.count_request import count_upload, is_upload, server_timing
from ingest_service.middleware.request_ids import request_id
from ingest_service.request_record import AT_HAND, RequestRecord
from ingest_service.telemetry.metrics import RECEIVED_BYTES, UPLOADS_OPEN
from ingest_service.telemetry.traces import trace_upload
from shared.telemetry.logs import Log, bound

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
