"""Waits for the end of a job while its client waits for the answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from litestar.types import Receive

from ingest_service.auth.caller import Caller
from ingest_service.errors import ClientGoneError
from ingest_service.jobs.events import Listener
from ingest_service.jobs.views import JobKey, JobState
from ingest_service.services import Services
from shared.schemas.states import JobStatus, Stage

T = TypeVar("T")

# No job is in this state, so that the listener's first state is the current one.
UNKNOWN = JobState(
    generation=0,
    status=JobStatus.QUEUED,
    stage=Stage.PREPARE,
    progress=0.0,
    chunk_count=0,
    chunks_done=0,
    is_erased=False,
)


class WaitStoppedError(Exception):
    """The wait ended before the job: it was too long, the process stops, or the client's key or the job is gone."""


@asynccontextmanager
async def watching(services: Services, caller: Caller, key: JobKey, longest_s: float) -> AsyncIterator[Listener]:
    """Lend a listener whose first state is the current one, and which ends after `longest_s`.

    The wait counts as an event stream of the caller.

    Raise LimitError, RefusedError `not_found` or `job_erased`, and OutageError.
    """
    until_invalid = services.key_cache.watch.until_invalid
    with (
        services.limits.streams.another(caller.tenant, caller.key_id),
        services.watcher.listening(key, UNKNOWN) as listener,
        until_invalid(caller.key_id, listener.end),
    ):
        timer = asyncio.get_running_loop().call_later(longest_s, listener.end)
        try:
            listener.update(await services.watcher.get(key))  # what changed before the listener was opened
            yield listener
        finally:
            timer.cancel()


async def end_of_job(listener: Listener, timeout_s: float) -> JobState | None:
    """Return the job's last state; None if it is not over in time. Raise WaitStoppedError."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while state := await listener.next():
                if state.is_over:
                    return state
            raise WaitStoppedError
    return None


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, and raise what it raises. Stop it and raise ClientGoneError if the client hangs up.

    The request's body must have been read.
    """
    gone, working = asyncio.create_task(_hang_up(receive)), asyncio.create_task(work)
    try:
        await asyncio.wait((gone, working), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGoneError
    finally:
        gone.cancel()
        working.cancel()


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
