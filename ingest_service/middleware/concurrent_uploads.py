"""Holds one of a tenant's places for each request that hands in audio, from its head until its answer begins."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from ingest_service.auth.caller import caller_of
from ingest_service.errors import LimitError
from ingest_service.middleware.access_log import is_upload
from ingest_service.middleware.problems import send_problem
from ingest_service.quotas.concurrent_uploads import Limits, Place


def with_open_uploads_counted(app: ASGIApp, limits: Callable[[], Limits]) -> ASGIApp:
    """Wrap an ASGI application whose requests are authenticated. `limits` open when the server starts."""

    def counted(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != ScopeType.HTTP or not is_upload(scope["method"], scope["path"]):
            return app(scope, receive, send)
        return in_place(scope, receive, send)

    async def in_place(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            place = await _take_place(limits(), caller_of(scope).tenant)
        except LimitError as error:
            await send_problem(send, error)
            return
        if place is None:
            await app(scope, receive, send)
            return

        async def send_after(message: Any) -> None:
            await place.give_back()  # first: whoever has the answer may come again at once
            await send(message)

        try:
            await app(scope, receive, send_after)
        finally:
            await place.give_back()

    return counted


async def _take_place(limits: Limits, tenant: str) -> Place | None:
    """None where there is no such quota."""
    standing = await limits.quotas.standings.find(tenant)
    at_once = standing.quotas.uploads_at_once if standing else 0
    return await limits.uploads.take(tenant, at_once) if at_once else None
