"""What tus wants of every exchange: its version in each answer, errors too, and methods that a proxy did not let pass.

The method in `X-HTTP-Method-Override` counts instead of the request's own, at the paths of uploads only.
"""

from collections.abc import Awaitable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from ingest_service.errors import RefusedError
from ingest_service.tus.answer_headers import PATH, VERSION
from ingest_service.uploads.presigned import PATH as DIRECT_PATH

METHODS = frozenset({"POST", "HEAD", "PATCH", "DELETE", "OPTIONS"})
ENCODED_VERSION = VERSION.encode()


def with_tus(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application. Other paths are passed through untouched."""

    def speaking(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != ScopeType.HTTP or not _is_of_uploads(scope["path"]):
            return app(scope, receive, send)

        async def send_with_version(message: Any) -> None:
            if message["type"] == "http.response.start":
                versions = [(b"tus-resumable", ENCODED_VERSION)]
                if message["status"] == 412:
                    versions.append((b"tus-version", ENCODED_VERSION))
                message = {**message, "headers": [*message["headers"], *versions]}
            await send(message)

        if (method := _method_override(scope)) in METHODS:
            scope["method"] = method  # type: ignore[typeddict-item] # it is one of those
        return app(scope, receive, send_with_version)

    return speaking


def require_version(headers: Any, method: str) -> None:
    """RefusedError `unsupported_version` unless the client speaks ours; OPTIONS is how it finds out."""
    if method != "OPTIONS" and headers.get("Tus-Resumable") != VERSION:
        raise RefusedError("unsupported_version", f"Send `Tus-Resumable: {VERSION}`.")


def _is_of_uploads(path: str) -> bool:
    return path == PATH or (path.startswith(PATH + "/") and path != DIRECT_PATH)


def _method_override(scope: Scope) -> str:
    named = (value for name, value in scope["headers"] if name == b"x-http-method-override")
    return next(named, b"").decode("latin-1").upper()
