"""Limit a tenant's concurrent uploads: hold a slot for each upload from its head until its answer begins."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from ingest_service.auth.caller import caller_of
from ingest_service.errors import LimitError
from ingest_service.middleware.access_log import is_upload
from ingest_service.middleware.problems import send_problem
from ingest_service.quotas.concurrent_uploads import TenantLimits, UploadSlot

RELEASE_KEY = "headrace.release_upload_slot"  # in the ASGI scope, if the upload has a slot


async def release_slot(scope: Any) -> None:
    """Release the slot of an upload that is complete although its answer waits."""
    if RELEASE_KEY in scope:
        await scope[RELEASE_KEY]()


def with_upload_slots(app: ASGIApp, limits: Callable[[], TenantLimits]) -> ASGIApp:
    """Wrap an ASGI application whose requests are authenticated. The server opens `limits` after this call."""

    def limited(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        return (upload if is_upload(scope["method"], scope["path"]) else app)(scope, receive, send)

    async def upload(scope: Any, receive: Receive, send: Send) -> None:
        try:
            slot = await _take_slot(limits(), caller_of(scope).tenant)
        except LimitError as error:
            await send_problem(send, error)
            return
        if slot is None:
            await app(scope, receive, send)
            return

        scope[RELEASE_KEY] = slot.release

        async def send_after(message: Any) -> None:
            await slot.release()  # before the answer: the client may send its next upload at once
            await send(message)

        try:
            await app(scope, receive, send_after)
        finally:
            await slot.release()

    return limited


async def _take_slot(limits: TenantLimits, tenant: str) -> UploadSlot | None:
    """Return None if the tenant has no such quota."""
    usage = await limits.quotas.usage_cache.find(tenant)
    at_once = usage.quotas.uploads_at_once if usage else 0
    return await limits.uploads.of(tenant).take(tenant, at_once) if at_once else None
