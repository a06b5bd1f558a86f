"""Watches jobs for all who listen, by one query a round for all of them: thousands may listen to one process.

A listener has room for one state, the newest, however slowly its client reads. While Postgres is away nobody hears
anything; the first round that succeeds again tells everybody what changed.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from ingest_service.database import Database
from ingest_service.jobs.queries import job_erased, no_such_job
from ingest_service.jobs.views import STATES, JobKey, JobState, event, key_of, state_of
from ingest_service.telemetry.metrics import EVENT_LISTENERS, EVENT_QUERIES
from shared.connections.tenancy import ALL_TENANTS
from shared.telemetry.logs import Log

log = Log(__name__)

ROUND_S = 0.5
REST = 4.0  # rounds of a slow database are further apart: it rests for so many times as long as the last one took

Found = dict[JobKey, JobState]


class Listener:
    """One client's view of one job."""

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._news = asyncio.Event()
        self._is_ended = False

    async def next(self) -> JobState | None:
        """The newest state, once it is another than before; None when nothing more will be told."""
        await self._news.wait()
        self._news.clear()
        return None if self._is_ended else self._state

    def tell(self, state: JobState) -> None:
        """Replaces what was not yet heard."""
        if state != self._state:
            self._state = state
            self._news.set()

    def end(self) -> None:
        self._is_ended = True
        self._news.set()


class JobWatcher:
    """The one of a process. Costs nothing while nobody listens."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: dict[JobKey, set[Listener]] = {}
        self._asked: dict[JobKey, asyncio.Future[JobState | None]] = {}
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._is_blind = False

    @classmethod
    @asynccontextmanager
    async def opened(cls, database: Database, stopping: asyncio.Event) -> AsyncIterator["JobWatcher"]:
        """A watcher at work. When the process begins to stop, all listeners are let go."""
        watcher = cls(database)
        tasks = [asyncio.create_task(watcher._watch_forever()), asyncio.create_task(watcher._let_go(stopping))]
        try:
            yield watcher
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def get(self, key: JobKey) -> JobState:
        """A job's state now; those who ask at the same moment share the query.

        Raises RefusedError `not_found`, `job_erased`, and OutageError.
        """
        answer = self._asked.setdefault(key, asyncio.get_running_loop().create_future())
        self._wake.set()
        state = await asyncio.shield(answer)  # others may wait for it, too
        if state is None:
            raise no_such_job()
        if state.is_erased:
            raise job_erased()
        return state

    @contextmanager
    def listening(self, key: JobKey, state: JobState) -> Iterator[Listener]:
        """A listener who knows that state already."""
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

    async def _let_go(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._is_stopping = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end()

    async def _watch_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        due_s = clock()
        while True:
            await self._until(due_s)
            began_s = clock()
            await self._look(everywhere=began_s >= due_s)
            if began_s >= due_s:
                due_s = clock() + max(ROUND_S, REST * (clock() - began_s))

    async def _until(self, due_s: float) -> None:
        """Until somebody asks, or the next round is due and somebody listens."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due_s if self._listeners else None):
                await self._wake.wait()
        self._wake.clear()

    async def _look(self, *, everywhere: bool) -> None:
        """Answer those who ask and, in a round, tell those who listen."""
        asked, self._asked = self._asked, {}
        keys = asked.keys() | self._listeners.keys() if everywhere else asked.keys()
        if not keys:
            return
        try:
            found = await self._find(keys)
        except Exception as error:  # noqa: BLE001 - whatever it is, the streams outlast it
            self._note_blind(error)
            for answer in asked.values():
                answer.set_exception(error)
                answer.exception()  # whoever asked may be gone, and that is no error
        else:
            self._note_sight()
            for key, answer in asked.items():
                answer.set_result(found.get(key))
            self._tell(keys, found)

    async def _find(self, keys: Collection[JobKey]) -> Found:
        ordered = list(keys)
        async with self._database.reading(ALL_TENANTS) as connection:  # each key names its own
            EVENT_QUERIES.inc()
            rows = await connection.fetch(STATES, [key.tenant for key in ordered], [key.job_id for key in ordered])
        return {key_of(row): state_of(row) for row in rows}

    def _tell(self, keys: Collection[JobKey], found: Found) -> None:
        for key in keys:
            for listener in self._listeners.get(key, ()):
                if key in found:
                    listener.tell(found[key])
                else:
                    listener.end()

    def _note_blind(self, error: Exception) -> None:
        if not self._is_blind:
            log.warning("watch_interrupted", error=type(error).__name__, listeners=len(self._listeners))
        self._is_blind = True

    def _note_sight(self) -> None:
        if self._is_blind:
            log.info("watch_resumed")
        self._is_blind = False


# Tells one client of one job by server-sent events: a state, then each change, until the job has ended.

HEARTBEAT_S = 15.0  # proxies close what is silent for a minute; and a client that is gone is found out by writing
HEARTBEAT = b":\n\n"
RECONNECT = b"retry: 2000\n\n"  # milliseconds; a client whose stream was cut comes back after so many

HEADERS = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would keep the events for itself
}


async def stream_events(
    watcher: JobWatcher, key: JobKey, state: JobState, last_event_id: str | None
) -> AsyncIterator[bytes]:
    """The stream. It begins with `state`, unless that is the one that `last_event_id` names."""
    with watcher.listening(key, state) as listener:
        yield RECONNECT
        if state.event_id != last_event_id:
            yield event(key.job_id, state)
        while not state.is_over:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    news = await listener.next()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if news is None:
                return  # the process stops, or the job's row is gone: whoever comes back is told more
            state = news
            yield event(key.job_id, state)
