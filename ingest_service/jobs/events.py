"""Stream a job's events: poll the states of all watched jobs with one query, since thousands of clients may watch.

A listener stores the newest state only, however slowly its client reads. While Postgres is unavailable there are no
events; the first successful poll sends the changes.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress

from ingest_service.database import Database
from ingest_service.jobs.queries import job_erased, no_such_job
from ingest_service.jobs.views import STATES, JobKey, JobState, event, key_of, state_of
from ingest_service.telemetry.metrics import EVENT_LISTENERS, EVENT_QUERIES
from shared.connections.tenancy import ALL_TENANTS
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

POLL_S = 0.5
PAUSE_FACTOR = 4.0  # a slow database is polled less often: pause for at least so many times the last poll's duration

Found = dict[JobKey, JobState]


class Listener:
    """One client's view of one job."""

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._changed = asyncio.Event()
        self._is_ended = False

    async def next(self) -> JobState | None:
        """Wait for a new state and return it. Return None if there will be no more."""
        await self._changed.wait()
        self._changed.clear()
        return None if self._is_ended else self._state

    def update(self, state: JobState) -> None:
        """Replace the state that `next` has not returned yet."""
        if state != self._state:
            self._state = state
            self._changed.set()

    def end(self) -> None:
        self._is_ended = True
        self._changed.set()


class JobWatcher:
    """Polls the jobs of all listeners of a process. Does nothing without listeners."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: dict[JobKey, set[Listener]] = {}
        self._requested: dict[JobKey, asyncio.Future[JobState | None]] = {}
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._outages = Outages(Log(__name__), "event_polling_failed", "event_polling_resumed")

    @classmethod
    @asynccontextmanager
    async def opened(cls, database: Database, stopping: asyncio.Event) -> AsyncIterator["JobWatcher"]:
        """Run a watcher during the block. End all listeners when `stopping` is set."""
        watcher = cls(database)
        tasks = [asyncio.create_task(watcher._poll_forever()), asyncio.create_task(watcher._end_all(stopping))]
        try:
            yield watcher
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def get(self, key: JobKey) -> JobState:
        """Return a job's current state. Concurrent calls share one query.

        Raise RefusedError `not_found`, `job_erased`, and OutageError.
        """
        answer = self._requested.setdefault(key, asyncio.get_running_loop().create_future())
        self._wake.set()
        state = await asyncio.shield(answer)  # other calls may wait for it
        if state is None:
            raise no_such_job()
        if state.is_erased:
            raise job_erased()
        return state

    @contextmanager
    def listening(self, key: JobKey, state: JobState) -> Iterator[Listener]:
        """Open a listener whose client knows `state` already."""
        listener = Listener(state)
        if self._is_stopping:
            listener.end()
        self._listeners.setdefault(key, set()).add(listener)
        EVENT_LISTENERS.inc()
        self._wake.set()
        try:
            yield listener
        finally:
            EVENT_LISTENERS.dec()
            self._listeners[key].remove(listener)
            if not self._listeners[key]:
                del self._listeners[key]

    async def _end_all(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._is_stopping = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end()

    async def _poll_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        due_s = clock()
        while True:
            await self._wait_until(due_s)
            began_s = clock()
            await self._poll(listeners=began_s >= due_s)
            if began_s >= due_s:
                due_s = clock() + max(POLL_S, PAUSE_FACTOR * (clock() - began_s))

    async def _wait_until(self, due_s: float) -> None:
        """Wait for a call of `get`, or for the next poll if there are listeners."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due_s if self._listeners else None):
                await self._wake.wait()
        self._wake.clear()

    async def _poll(self, *, listeners: bool) -> None:
        """Answer the calls of `get` and, if `listeners`, update the listeners."""
        requested, self._requested = self._requested, {}
        keys = requested.keys() | self._listeners.keys() if listeners else requested.keys()
        if not keys:
            return
        try:
            found = await self._find(keys)
        except Exception as error:  # noqa: BLE001 - the streams survive every error
            self._outages.failed(error, listeners=len(self._listeners))
            for answer in requested.values():
                answer.set_exception(error)
                answer.exception()  # mark as retrieved: the caller may have been cancelled
        else:
            self._outages.worked()
            for key, answer in requested.items():
                answer.set_result(found.get(key))
            self._update(keys, found)

    async def _find(self, keys: Collection[JobKey]) -> Found:
        ordered = list(keys)
        async with self._database.reading(ALL_TENANTS) as connection:  # each key names its tenant
            EVENT_QUERIES.inc()
            rows = await connection.fetch(STATES, [key.tenant for key in ordered], [key.job_id for key in ordered])
        return {key_of(row): state_of(row) for row in rows}

    def _update(self, keys: Collection[JobKey], found: Found) -> None:
        for key in keys:
            for listener in self._listeners.get(key, ()):
                if key in found:
                    listener.update(found[key])
                else:
                    listener.end()


HEARTBEAT_S = 15.0  # proxies close idle connections after a minute; and only a write detects a client that is gone
HEARTBEAT = b":\n\n"
RECONNECT = b"retry: 2000\n\n"  # milliseconds until a disconnected client reconnects

HEADERS = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would buffer the events
}


async def stream_events(
    watcher: JobWatcher,
    key: JobKey,
    state: JobState,
    last_event_id: str | None,
    until_invalid: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> AsyncGenerator[bytes]:
    """Stream a job's states as server-sent events until the job has ended, or the API key of the client.

    Begin with `state`, unless it is the state that `last_event_id` names.
    """
    with watcher.listening(key, state) as listener, until_invalid(listener.end):
        yield RECONNECT
        if state.event_id != last_event_id:
            yield event(key.job_id, state)
        while not state.is_over:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    changed = await listener.next()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if changed is None:
                return  # the process stops, or the job's row or the key is gone; the client learns which later
            state = changed
            yield event(key.job_id, state)
