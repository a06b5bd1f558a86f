"""Add headers to answers: to every answer those that keep browsers from treating it as a page."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar.types import ASGIApp, Receive, Send

Headers = list[tuple[bytes, bytes]]

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),  # for browsers that do not know frame-ancestors
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),  # a shared cache must not serve one client's transcript to another
)


def adding_headers(send: Send, added: Callable[[Any], Headers]) -> Send:
    """Return a `send` that adds headers when the answer starts. `added` gets the message that starts it."""

    def send_more(message: Any) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message["headers"], *added(message)]}
        return send(message)

    return send_more


def with_security_headers(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application. Headers of the answer itself win."""

    def secured(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        return app(scope, receive, adding_headers(send, lambda message: missing_security_headers(message["headers"])))

    return secured


def missing_security_headers(headers: Headers) -> Headers:
    """Return the security headers that are not among the headers."""
    present = {name.lower() for name, _ in headers}
    return [header for header in SECURITY_HEADERS if header[0] not in present]
