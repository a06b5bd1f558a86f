"""Authenticate a request by the key in `Authorization`, `X-API-Key` or `api-key`, or else by a session's cookie.

This happens before the request's body is read. Each route checks the key's scopes later. Health, the API's description,
the console's files and OPTIONS need no key.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from ingest_service.auth.caller import CALLER_KEY, LOCAL, Caller
from ingest_service.auth.key_cache import KeyCache, unauthorized
from ingest_service.auth.session_cookie import session_cookie_in
from ingest_service.console_files import PAGE_PATHS as CONSOLE_PATHS
from ingest_service.middleware.problems import send_problem
from ingest_service.middleware.session_guard import refuse_forgery

KEY_HEADERS = frozenset({b"x-api-key", b"api-key"})  # the second is that of Azure's clients
OPEN_FOLDERS = ("/health/", "/schema/", "/docs/", "/console/", "/jobs/")
OPEN_PATHS = frozenset({"/schema", "/docs", *CONSOLE_PATHS})


def with_authentication(app: ASGIApp, keys: Callable[[], KeyCache]) -> ASGIApp:
    """Wrap an ASGI application. The server opens `keys` after this call."""

    async def authenticated(scope: Any, receive: Receive, send: Send) -> None:
        if not is_open(scope["method"], scope["path"]):
            try:
                key = presented_key(scope["headers"])
                scope[CALLER_KEY] = await (_by_cookie(scope, keys()) if key is None else keys().caller(key))
            except Exception as error:  # noqa: BLE001 - the problem table has an answer for every exception
                await send_problem(send, error)
                return
        await app(scope, receive, send)

    return authenticated


def without_authentication(app: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application. Every caller is LOCAL."""

    def local(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        scope[CALLER_KEY] = LOCAL
        return app(scope, receive, send)

    return local


def is_open(method: str, path: str) -> bool:
    """Return whether a request needs no key."""
    return method == "OPTIONS" or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


async def _by_cookie(scope: Any, keys: KeyCache) -> Caller:
    """Raise RefusedError, also for a request that another page may have caused."""
    cookie = session_cookie_in(scope["headers"], scope["scheme"])
    if cookie is None:
        raise unauthorized("Send an API key, as `Authorization: Bearer hr_…`.")
    caller = await keys.caller_of_session(cookie.token.encode())
    refuse_forgery(scope["method"], scope["headers"], cookie.token)
    return caller


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the Bearer token, or else the value of another header. Raise RefusedError `unauthorized`."""
    bearers, others = set(), set()
    for name, value in headers:
        if name in KEY_HEADERS:
            others.add(value.strip())
        elif name == b"authorization":
            scheme, _, credentials = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":  # other schemes are ignored
                bearers.add(credentials.strip())
    keys = bearers or others
    if len(keys) > 1:
        raise unauthorized("The request has two different API keys. Send one.")
    return keys.pop() if keys else None
