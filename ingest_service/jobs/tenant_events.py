"""The events of all jobs of a tenant: one stream for a list, however many jobs it has.

A listener stores the newest state of each changed job only. If they are too many, its client must read its list again.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from typing import NamedTuple
from uuid import UUID

import msgspec

from ingest_service.jobs.events import HEARTBEAT, HEARTBEAT_S, RECONNECT
from ingest_service.jobs.views import JobState
from shared.schemas.api import JobCounts, TenantEvent

UPDATE_S = 0.25  # between two updates of a client
MAX_PENDING = 500  # changed jobs that are kept for a client that reads slowly
RELOAD = b"event: reload\ndata: {}\n\n"


class JobChange(NamedTuple):
    """A job's state and what a list shows of it."""

    job_id: UUID
    state: JobState
    filename: str | None
    created_at: dt.datetime

    @property
    def is_active(self) -> bool:
        return not self.state.is_over and not self.state.is_erased

    def event(self) -> bytes:
        """Return the server-sent event. It has no name, so that an EventSource's `onmessage` receives it."""
        data = TenantEvent(
            job_id=str(self.job_id),
            status=self.state.status,
            stage=self.state.stage,
            progress=self.state.progress,
            chunks_done=self.state.chunks_done,
            chunk_count=self.state.chunk_count,
            filename=self.filename,
            created_at=self.created_at,
            erased=self.state.is_erased,
        )
        return b"data: %b\n\n" % msgspec.json.encode(data)


class TenantListener:
    """One client's view of a tenant's jobs."""

    def __init__(self) -> None:
        self._pending: dict[UUID, JobChange] = {}
        self._counts: JobCounts | None = None
        self._must_reload = False
        self._is_ended = False
        self._changed = asyncio.Event()

    def update(self, change: JobChange) -> None:
        """Store the newest state of a job. If there are too many, the client must read its list instead."""
        self._pending[change.job_id] = change
        if len(self._pending) > MAX_PENDING:
            self.reload()
        self._changed.set()

    def reload(self) -> None:
        self._pending.clear()
        self._must_reload = True
        self._changed.set()

    def count(self, counts: JobCounts) -> None:
        self._counts = counts
        self._changed.set()

    def end(self) -> None:
        self._is_ended = True
        self._changed.set()

    async def next(self) -> bytes | None:
        """Wait for changes. Return their events; None if there will be no more."""
        await self._changed.wait()
        self._changed.clear()
        return None if self._is_ended else self._take()

    def _take(self) -> bytes:
        events = [RELOAD] if self._must_reload else []
        events += [change.event() for change in self._pending.values()]
        if self._counts:
            events.append(b"event: counts\ndata: %b\n\n" % msgspec.json.encode(self._counts))
        self._pending, self._counts, self._must_reload = {}, None, False
        return b"".join(events)


async def stream_tenant_events(
    listening: AbstractContextManager[TenantListener],
    until_invalid: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> AsyncGenerator[bytes]:
    """Stream the changes of a tenant's jobs as server-sent events, until the API key of the client ends."""
    with listening as listener, until_invalid(listener.end):
        yield RECONNECT
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    events = await listener.next()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if events is None:
                return  # the process stops, or the key is gone
            yield events
            await asyncio.sleep(UPDATE_S)
