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
from ingest_service.jobs.waiting import Waiting
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


class JobWait:
    """A request's wait for its job."""

    def __init__(self, listener: Listener, waiting: Waiting) -> None:
        self.listener = listener  # its first state is the current one
        self._waiting = waiting

    async def end_of_job(self, timeout_s: float) -> JobState | None:
        """Return the job's last state; None if it is not over in time. Raise WaitStoppedError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while state := await self.listener.next():
                    if state.is_over:
                        self.note_end()
                        return state
                raise WaitStoppedError
        return None

    def note_end(self) -> None:
        """Note that the job is over, so that nothing checks whether it must be cancelled."""
        self._waiting.end()


@asynccontextmanager
async def waiting_for(services: Services, caller: Caller, key: JobKey, longest_s: float) -> AsyncIterator[JobWait]:
    """Wait for a job during the block, but no longer than `longest_s`. It counts as an event stream of the caller.

    The job must have been made for a request that waits: it is cancelled some time after the last one has left.

    Raise LimitError, RefusedError `not_found` or `job_erased`, and OutageError.
    """
    until_invalid = services.key_cache.watch.until_invalid
    with (
        services.limits.streams.another(caller.tenant, caller.key_id),
        services.waiters.waiting(key) as waiting,
        services.watcher.listening(key, UNKNOWN) as listener,
        until_invalid(caller, listener.end),
    ):
        timer = asyncio.get_running_loop().call_later(longest_s, listener.end)
        try:
            listener.update(await services.watcher.get(key))  # what changed before the listener was opened
            yield JobWait(listener, waiting)
        finally:
            timer.cancel()


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
