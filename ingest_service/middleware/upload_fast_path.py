"""The short way of an upload: from the server straight to the use case, past the framework's routing and injection.

Worth its lines: the framework takes 120 to 175 µs of CPU for a request beside our own code, this 24 µs.
The routes in `routes.submit` stay: they describe the interface, and serve what comes to them in an unusual way.
"""

import re
from collections.abc import Awaitable, Callable

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from ingest_service.middleware.problems import send_problem
from ingest_service.services import Services
from ingest_service.uploads.accept import accept_upload

ONLY_FORM = {"/v1/jobs": False, "/api/upload-audio": True}
USUAL_HOST = re.compile(rb"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?")  # the framework judges all others

Headers = list[tuple[bytes, bytes]]


def with_short_way(app: ASGIApp, services: Callable[[], Services]) -> ASGIApp:
    """Wrap the framework's application. `services` is asked at each request: they open when the server starts."""

    def shortened(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP and _is_usual_upload(scope):
            scope["path_template"] = scope["path"]  # for the access log
            return _answer(services(), scope, receive, send)
        return app(scope, receive, send)

    return shortened


def _is_usual_upload(scope: HTTPScope) -> bool:
    if scope["method"] != "POST" or scope["path"] not in ONLY_FORM or scope["root_path"]:
        return False
    return all(USUAL_HOST.fullmatch(value) for name, value in scope["headers"] if name == b"host")


async def _answer(services: Services, scope: HTTPScope, receive: Receive, send: Send) -> None:
    try:
        accepted = await accept_upload(services, scope, receive, only_form=ONLY_FORM[scope["path"]])
    except Exception as error:  # noqa: BLE001 - what nobody expected has its answer in the table, too
        await send_problem(send, error)
    else:
        headers = [(b"content-type", b"application/json"), (b"location", accepted.links.self.encode())]
        await _send(send, 202, headers, msgspec.json.encode(accepted))


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
