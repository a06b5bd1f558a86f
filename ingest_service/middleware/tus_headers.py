"""Adds the tus version to every answer, and applies `X-HTTP-Method-Override`, at the paths of uploads only."""

from collections.abc import Awaitable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from ingest_service.errors import RefusedError
from ingest_service.tus.headers import PATH, VERSION
from ingest_service.uploads.presigned_uploads import PATH as DIRECT_PATH

METHODS = frozenset({"POST", "HEAD", "PATCH", "DELETE", "OPTIONS"})
ENCODED_VERSION = VERSION.encode()


def with_tus(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application. Other paths pass through unchanged."""

    def with_version(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != ScopeType.HTTP or not _is_upload_path(scope["path"]):
            return app(scope, receive, send)

        async def send_with_version(message: Any) -> None:
            if message["type"] == "http.response.start":
                versions = [(b"tus-resumable", ENCODED_VERSION)]
                if message["status"] == 412:
                    versions.append((b"tus-version", ENCODED_VERSION))
                message = {**message, "headers": [*message["headers"], *versions]}
            await send(message)

        if (method := _method_override(scope)) in METHODS:
            scope["method"] = method  # type: ignore[typeddict-item] # one of METHODS
        return app(scope, receive, send_with_version)

    return with_version


def require_version(headers: Any, method: str) -> None:
    """Raise RefusedError `unsupported_version` for another version. OPTIONS needs none: it asks for the version."""
    if method != "OPTIONS" and headers.get("Tus-Resumable") != VERSION:
        raise RefusedError("unsupported_version", f"Send `Tus-Resumable: {VERSION}`.")


def _is_upload_path(path: str) -> bool:
    return path == PATH or (path.startswith(PATH + "/") and path != DIRECT_PATH)


def _method_override(scope: Scope) -> str:
    named = (value for name, value in scope["headers"] if name == b"x-http-method-override")
    return next(named, b"").decode("latin-1").upper()
