"""Gives each path one spelling, as the framework's router does: no empty segments, no slash at the end.

Without this, `//v1/jobs` would reach the route of `/v1/jobs` and pass by every check that compares paths.
"""

from collections.abc import Awaitable
from typing import Any

from litestar.types import ASGIApp, Receive, Send


def with_canonical_path(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application."""

    def with_path(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope["path"]
        if "//" in path or path.endswith("/"):
            scope["path"] = canonical(path)
        return app(scope, receive, send)

    return with_path


def canonical(path: str) -> str:
    """Return the path as the framework routes it."""
    return "/" + "/".join(segment for segment in path.split("/") if segment)
