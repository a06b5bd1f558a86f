"""One log line a request: method, path template, status, milliseconds; and an id that all its other lines carry.

The path is the route's template, never the path itself, and no header, query or content is logged.
"""

import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from shared.ids import new_id
from shared.logs import Log, bound

log = Log("ingest_service.access")

QUIET_PATHS = frozenset({"/health/live", "/health/ready"})  # probes, every few seconds: logged when they fail


def with_access_log(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        status = 0
        started_s = time.perf_counter()

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with bound(request_id=str(new_id())):
            try:
                await app(scope, receive, send_noting_status)
            finally:
                _log_request(scope, status, time.perf_counter() - started_s)

    return logged


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    template = scope.get("path_template", "unknown")
    emit = log.debug if template in QUIET_PATHS and status < 400 else log.info
    emit("request", method=scope.get("method"), path=template, status=status, ms=round(seconds * 1000, 1))
