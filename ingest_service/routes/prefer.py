"""`Prefer: wait=N` (RFC 7240): answer with the finished job if it ends within N seconds, otherwise as without it."""

import asyncio
import re
from collections.abc import Iterable
from uuid import UUID

from litestar.types import Receive

from ingest_service.auth.caller import Caller
from ingest_service.auth.key_cache import unauthorized
from ingest_service.errors import LimitError
from ingest_service.jobs.views import JobKey
from ingest_service.jobs.waiting import wait_until_over
from ingest_service.services import Services
from shared.schemas.api import JobView

MAX_WAIT_S = 60
PREFERENCE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|$))+')  # a quoted value may have commas


def wanted_wait_s(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return for how long the client wants to wait, at most MAX_WAIT_S. None: not at all.

    The first `wait` counts. Other preferences, and invalid ones, are ignored (RFC 7240 section 2).
    """
    text = b",".join(value for name, value in headers if name == b"prefer").decode("latin-1")
    for preference in PREFERENCE.findall(text):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            return _seconds(value.strip().strip('"'))
    return None


def _seconds(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    return min(int(digits[:3]), MAX_WAIT_S) if digits else None


def applied(wait_s: int) -> dict[str, str]:
    """Return the header of an answer for which the client has waited."""
    return {"Preference-Applied": f"wait={wait_s}"}


async def finished_job(
    services: Services, caller: Caller, job_id: UUID, wait_s: int, receive: Receive
) -> JobView | None:
    """Return the job if it is over within `wait_s`. Return None early if no more requests may wait.

    Raise RefusedError `not_found`, `job_erased`, `unauthorized` (the key was revoked meanwhile), and OutageError.
    """
    try:
        with services.limits.streams.another(caller.tenant, caller.key_id):
            is_over = await _is_over(services, caller, job_id, wait_s, receive)
    except LimitError:
        return None
    return await services.jobs.get(caller.tenant, str(job_id)) if is_over else None


async def _is_over(services: Services, caller: Caller, job_id: UUID, wait_s: int, receive: Receive) -> bool:
    """Wait until the job is over, the time is, the client has disconnected, or its key is invalid."""
    key = JobKey(caller.tenant, job_id)
    waiting = asyncio.create_task(wait_until_over(services.watcher, key, timeout_s=wait_s))
    leaving = asyncio.create_task(_disconnected(receive))

    def end() -> None:
        waiting.cancel()

    try:
        with services.key_cache.watch.until_invalid(caller, end):
            await asyncio.wait([waiting, leaving], return_when=asyncio.FIRST_COMPLETED)
        if waiting.cancelled():
            raise unauthorized("This API key is unknown, expired or revoked.")
        return waiting.done() and waiting.result().is_over
    finally:
        waiting.cancel()
        leaving.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
