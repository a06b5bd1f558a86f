"""Answers HEAD on every route with a GET: the same headers, no body (RFC 9110 section 9.3.2).

The innermost wrapper: the others see HEAD. Routes with a HEAD handler of their own keep it.
"""

import asyncio
import re
from collections.abc import Awaitable, Iterable
from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, HTTPResponseBodyEvent, Receive, Send

END: HTTPResponseBodyEvent = {"type": "http.response.body", "body": b"", "more_body": False}


def with_head(app: ASGIApp, routes: Litestar) -> ASGIApp:
    """Wrap the framework's application. `routes` has the handlers."""
    own = _paths_with_head(routes)

    def answered(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["method"] != "HEAD" or own.fullmatch(scope["path"]):
            return app(scope, receive, send)
        return _answer(app, scope, receive, send)

    return answered


def _paths_with_head(app: Litestar) -> re.Pattern[str]:
    paths = (route.path_format for route in app.routes if isinstance(route, HTTPRoute) and "HEAD" in route.methods)
    return re.compile("|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in paths))


async def _answer(app: ASGIApp, scope: Any, receive: Receive, send: Send) -> None:
    """Run the GET until its answer is streamed, or complete.

    The body of a complete answer is passed on: a wrapper may change it, and its length. The server does not send it.
    """
    as_get: Any = dict(scope) | {"method": "GET"}  # a copy: the server and the log need the method
    is_streamed = False
    start: Any = None

    async def send_head(message: Any) -> None:
        nonlocal is_streamed, start
        if message["type"] == "http.response.start":
            start = message
        elif not is_streamed:
            is_streamed = bool(message.get("more_body"))
            await send(start)
            await send(END if is_streamed else message)
            if is_streamed:
                work.cancel()

    work = asyncio.ensure_future(app(as_get, receive, send_head))
    try:
        await asyncio.wait([work])
    finally:
        work.cancel()  # if this request was cancelled
        scope.update(as_get | {"method": "HEAD"})  # the log needs the route
    if not is_streamed:
        await work


def allowed_methods(methods: Iterable[str]) -> str:
    """Return the value of `Allow` for a route with these methods."""
    given = {str(method) for method in methods}
    return ", ".join(sorted(given | ({"HEAD"} if "GET" in given else set())))
