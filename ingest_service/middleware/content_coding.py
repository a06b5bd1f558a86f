"""Refuses bodies that are compressed or framed in a way that we do not undo, before anything reads them.

A gzip upload would have to be unpacked to be counted and sniffed; a transfer coding but `chunked` arrives as it is.
"""

from collections.abc import Awaitable, Iterable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from ingest_service.middleware.problems import plain_problem


def refused_coding(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The code of the problem with a request's codings; None when there is none."""
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            return "unsupported_content_encoding"
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            return "unsupported_transfer_encoding"
    return None


def with_codings_refused(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application."""

    def plain(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        code = refused_coding(scope["headers"]) if scope["type"] == ScopeType.HTTP else None
        return app(scope, receive, send) if code is None else plain_problem(code).send(send)

    return plain
