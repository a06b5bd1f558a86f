"""Adds the tus version to every answer, and applies `X-HTTP-Method-Override`, at the paths of uploads only."""

from collections.abc import Awaitable
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from ingest_service.errors import RefusedError
from ingest_service.middleware.answer_headers import Headers, adding_headers
from ingest_service.tus.headers import PATH, VERSION
from ingest_service.uploads.presigned_uploads import PATH as DIRECT_PATH

METHODS = frozenset({"POST", "HEAD", "PATCH", "DELETE", "OPTIONS"})
ENCODED_VERSION = VERSION.encode()


def with_tus(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application. Other paths pass through unchanged."""

    def with_version(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if not _is_upload_path(scope["path"]):
            return app(scope, receive, send)
        if (method := _method_override(scope)) in METHODS:
            scope["method"] = method
        return app(scope, receive, adding_headers(send, _versions))

    return with_version


def _versions(message: Any) -> Headers:
    names = (b"tus-resumable", b"tus-version") if message["status"] == 412 else (b"tus-resumable",)
    return [(name, ENCODED_VERSION) for name in names]


def require_version(headers: Any, method: str) -> None:
    """Raise RefusedError `unsupported_version` for another version. OPTIONS needs none: it asks for the version."""
    if method != "OPTIONS" and headers.get("Tus-Resumable") != VERSION:
        raise RefusedError("unsupported_version", f"Send `Tus-Resumable: {VERSION}`.")


def _is_upload_path(path: str) -> bool:
    return path == PATH or (path.startswith(PATH + "/") and path != DIRECT_PATH)


def _method_override(scope: Any) -> str:
    named = (value for name, value in scope["headers"] if name == b"x-http-method-override")
    return next(named, b"").decode("latin-1").upper()
