"""Add headers to every answer that keep browsers from treating it as a page. Headers of the answer itself win."""

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
    (b"cache-control", b"no-store"),  # a shared cache must not serve one client's transcript to another
)


def with_security_headers(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application."""

    def secured(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        async def send_secured(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": add_security_headers(message["headers"])}
            await send(message)

        return app(scope, receive, send_secured if scope["type"] == ScopeType.HTTP else send)

    return secured


def add_security_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers, with the security headers that they lack."""
    present = {name.lower() for name, _ in headers}
    return [*headers, *(header for header in SECURITY_HEADERS if header[0] not in present)]
