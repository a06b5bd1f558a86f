"""Finds out whose request it is before anything reads its body: by the key in `Authorization` or `X-API-Key`.

What the key is for is asked later, by each route. Health, the API's description and OPTIONS are open to everybody.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Send

from ingest_service.auth.caller import IN_SCOPE, LOCAL
from ingest_service.auth.key_cache import KeyRing, unauthorized
from ingest_service.middleware.problems import send_problem

OPEN_PATHS = ("/health/", "/schema/")
OPEN_PATH = "/schema"


def with_authentication(app: ASGIApp, ring: Callable[[], KeyRing]) -> ASGIApp:
    """Wrap an ASGI application. `ring` is asked at each request: it opens when the server starts."""

    async def authenticated(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and not is_open(scope["method"], scope["path"]):
            try:
                scope[IN_SCOPE] = await ring().caller(presented_key(scope["headers"]))
            except Exception as error:  # noqa: BLE001 - what nobody expected has its answer in the table, too
                await send_problem(send, error)
                return
        await app(scope, receive, send)

    return authenticated


def without_authentication(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application in which everybody is LOCAL."""

    def local(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP:
            scope[IN_SCOPE] = LOCAL
        return app(scope, receive, send)

    return local


def is_open(method: str, path: str) -> bool:
    """Whether nobody needs a key for it."""
    return method == "OPTIONS" or path == OPEN_PATH or path.startswith(OPEN_PATHS)


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The key that a request shows: as a Bearer token, else in X-API-Key. RefusedError `unauthorized`."""
    bearers, others = set(), set()
    for name, value in headers:
        if name == b"x-api-key":
            others.add(value.strip())
        elif name == b"authorization":
            scheme, _, credentials = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":  # other schemes are not for us
                bearers.add(credentials.strip())
    keys = bearers or others
    if not keys:
        raise unauthorized("Send an API key, as `Authorization: Bearer hr_…`.")
    if len(keys) > 1:
        raise unauthorized("The request shows two keys.")
    return keys.pop()
