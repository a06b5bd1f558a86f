"""Headers on every answer that keep a browser from making a page of it. Not one of our answers is a page.

An answer that has such a header already keeps its own.
"""

from collections.abc import Awaitable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),  # for browsers that do not know frame-ancestors
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),  # somebody's transcript in a shared cache would be somebody else's
)


def with_security_headers(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application."""

    def secured(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        async def send_secured(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": secured_headers(message["headers"])}
            await send(message)

        return app(scope, receive, send_secured if scope["type"] == ScopeType.HTTP else send)

    return secured


def secured_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, and those of ours that are not among them."""
    present = {name.lower() for name, _ in headers}
    return [*headers, *(header for header in SECURITY_HEADERS if header[0] not in present)]
