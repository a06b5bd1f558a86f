"""Let pages of the configured origins use the API from a browser (CORS, fetch.spec.whatwg.org section 3.2).

Origins are compared exactly, without patterns. The browser's credentials are not allowed: a session is for the
service's own pages.
"""

from typing import Any

from litestar.types import ASGIApp, Receive, Send

from ingest_service.middleware.answer_headers import adding_headers

REQUEST_HEADERS = (
    b"Authorization, X-API-Key, Content-Type, X-Request-Id, Idempotency-Key, Prefer, Content-Digest, Repr-Digest, "
    b"Range, Last-Event-ID, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Checksum, "
    b"If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, "
    b"Upload-Defer-Length, X-HTTP-Method-Override, api-key, OpenAI-Organization, OpenAI-Project, X-Stainless-Arch, "
    b"X-Stainless-Helper-Method, X-Stainless-Lang, X-Stainless-OS, X-Stainless-Package-Version, "
    b"X-Stainless-Retry-Count, X-Stainless-Runtime, X-Stainless-Runtime-Version, X-Stainless-Timeout"
)
EXPOSED_HEADERS = (
    b"Location, Retry-After, Server-Timing, Content-Disposition, Content-Range, Accept-Ranges, Accept-Encoding, "
    b"RateLimit, RateLimit-Policy, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, "
    b"Upload-Length, Upload-Defer-Length, Upload-Offset, Upload-Metadata, Upload-Expires, Headrace-Job-Id, "
    b"Headrace-Ignored, Content-Location, X-Request-Id, Preference-Applied, ETag"
)
PREFLIGHT_MAX_AGE_S = b"600"
PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (b"access-control-allow-headers", REQUEST_HEADERS),
    (b"access-control-max-age", PREFLIGHT_MAX_AGE_S),
]


def with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """Wrap an ASGI application. Without origins, return it unchanged."""
    if not origins:
        return app
    allowed = frozenset(origin.encode() for origin in origins)

    async def cross_origin(scope: Any, receive: Receive, send: Send) -> None:
        origin = _header(scope, b"origin")
        granted = _granted(origin) if origin in allowed else [(b"vary", b"Origin")]
        if origin in allowed and scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method"):
            await send({"type": "http.response.start", "status": 204, "headers": [*granted, *PREFLIGHT]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await app(scope, receive, adding_headers(send, lambda _: granted))

    return cross_origin


def _granted(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED_HEADERS),
        (b"vary", b"Origin"),
    ]


def _header(scope: Any, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")
