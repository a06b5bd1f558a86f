"""Watch jobs for the clients that follow them or wait for them: read the states of many jobs with one query.

The jobs that hints name are read at once, and all watched jobs every few seconds, since a hint may be lost. Without a
connection for hints, all are read every half second. A listener stores the newest state only, however slowly its client
reads. While Postgres is unavailable there are no events; the first successful poll sends the changes.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress

from ingest_service.database import Database
from ingest_service.jobs.hints import HintReceivers
from ingest_service.jobs.queries import job_erased, no_such_job
from ingest_service.jobs.views import STATES, JobKey, JobState, event, key_of, state_of
from ingest_service.telemetry.metrics import EVENT_LISTENERS, EVENT_QUERIES
from shared.connections.redis_shards import RedisShards
from shared.connections.tenancy import ALL_TENANTS
from shared.job_hints import channel_of
from shared.run_beside import run_beside
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

POLL_S = 5.0  # while hints arrive
BLIND_POLL_S = 0.5  # while they may get lost, or the last poll failed
PAUSE_FACTOR = 4.0  # a slow database is read less often: pause for at least so many times the last read's duration

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
    """Watches the jobs of all listeners of a process. Does nothing without listeners."""

    def __init__(self, database: Database, shards: RedisShards) -> None:
        self.hints = HintReceivers(shards, self._on_hint, self._on_loss)
        self._database = database
        self._listeners: dict[JobKey, set[Listener]] = {}
        self._keys: dict[str, JobKey] = {}  # by channel, of the jobs with listeners
        self._hinted: set[JobKey] = set()
        self._requested: dict[JobKey, asyncio.Future[JobState | None]] = {}
        self._wake = asyncio.Event()
        self._polled_s = self._free_at_s = 0.0  # the end of the last poll; the end of the pause after the last read
        self._has_failed = False
        self._is_stopping = False
        self._outages = Outages(Log(__name__), "event_polling_failed", "event_polling_resumed")

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, database: Database, shards: RedisShards, stopping: asyncio.Event
    ) -> AsyncIterator["JobWatcher"]:
        """Run a watcher during the block. End all listeners when `stopping` is set."""
        watcher = cls(database, shards)
        async with watcher.hints.running(), run_beside(watcher._read_forever()), run_beside(watcher._end_all(stopping)):
            yield watcher

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
        self._keys[channel_of(key.job_id)] = key
        EVENT_LISTENERS.inc()
        self._wake.set()
        try:
            with self.hints.watching(key.tenant, channel_of(key.job_id)):
                yield listener
        finally:
            EVENT_LISTENERS.dec()
            self._listeners[key].remove(listener)
            if not self._listeners[key]:
                del self._listeners[key]
                self._keys.pop(channel_of(key.job_id), None)

    async def _end_all(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._is_stopping = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end()

    def _on_hint(self, channel: str, _: bytes) -> None:
        if key := self._keys.get(channel):
            self._hinted.add(key)
            self._wake.set()

    def _on_loss(self) -> None:
        self._wake.set()  # the next poll is due earlier

    async def _read_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._wait()
            began_s = clock()
            is_poll = bool(self._listeners) and began_s >= self._poll_at_s()
            due = self._due(is_poll=is_poll) if began_s >= self._free_at_s else set()
            await self._read(due, is_poll=is_poll)
            if is_poll:
                self._polled_s = clock()
            if due:
                self._free_at_s = clock() + PAUSE_FACTOR * (clock() - began_s)

    def _due(self, *, is_poll: bool) -> set[JobKey]:
        hinted, self._hinted = self._hinted, set()
        return set(self._listeners) if is_poll else hinted & self._listeners.keys()

    def _poll_at_s(self) -> float:
        every_s = POLL_S if self.hints.is_healthy and not self._has_failed else BLIND_POLL_S
        return max(self._polled_s + every_s, self._free_at_s)

    async def _wait(self) -> None:
        """Wait for a call of `get`, for hints, or for the next poll if there are listeners."""
        due_s = self._poll_at_s() if self._listeners else None
        if self._hinted:
            due_s = self._free_at_s
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due_s):
                await self._wake.wait()
        self._wake.clear()

    async def _read(self, due: set[JobKey], *, is_poll: bool) -> None:
        """Answer the calls of `get`, and update the listeners of the jobs that are due."""
        requested, self._requested = self._requested, {}
        keys = due | requested.keys()
        if not keys:
            return
        try:
            found = await self._find(keys)
        except Exception as error:  # noqa: BLE001 - the streams survive every error
            self._has_failed = True
            self._outages.failed(error, listeners=len(self._listeners))
            for answer in requested.values():
                answer.set_exception(error)
                answer.exception()  # mark as retrieved: the caller may have been cancelled
        else:
            self._has_failed = self._has_failed and not is_poll
            self._outages.worked()
            for key, answer in requested.items():
                answer.set_result(found.get(key))
            self._update(keys, found)

    async def _find(self, keys: Collection[JobKey]) -> Found:
        ordered = list(keys)
        tenants, job_ids = [key.tenant for key in ordered], [key.job_id for key in ordered]
        EVENT_QUERIES.inc()
        rows = await self._database.read(
            lambda connection: connection.fetch(STATES, tenants, job_ids),
            ALL_TENANTS,  # each key names its tenant
        )
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
