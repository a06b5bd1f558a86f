"""Watches the jobs of the tenants that clients follow.

Hints name the jobs that have changed, or say that jobs are new. These are read at once, those of all tenants with one
query, at most four times a second. Every few seconds, and when hints may have been lost, the active jobs are read: the
newest, and those that are known. While Postgres is unavailable there are no events; the next read sends the changes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from uuid import UUID

from ingest_service.database import Database
from ingest_service.errors import OutageError
from ingest_service.jobs.events import BLIND_POLL_S, PAUSE_FACTOR, POLL_S
from ingest_service.jobs.filters import JobFilter
from ingest_service.jobs.find import count_jobs
from ingest_service.jobs.hints import HintReceivers
from ingest_service.jobs.tenant_events import JobChange, TenantListener
from ingest_service.jobs.views import TENANT_STATES, state_of
from ingest_service.telemetry.metrics import EVENT_LISTENERS, EVENT_QUERIES
from shared.connections.redis_shards import RedisShards
from shared.job_hints import TENANT_CHANNEL, ids_in, tenant_channel_of
from shared.run_beside import run_beside
from shared.schemas.api import JobCounts
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

READ_S = 0.25  # between two reads
COUNT_S = 5.0  # between two counts of a tenant's jobs, which need about 30 ms for each 100,000
COUNT_PAUSE_FACTOR = 50.0  # at least so many times the last count's duration
# Else Postgres would plan for all slices at each read: it estimates longer arrays for a plan that it keeps.
PLAN_ONCE = "SET LOCAL plan_cache_mode = force_generic_plan"
MAX_KNOWN = 1000  # states that are kept for a tenant


class _Tenant:
    """What a process knows of a watched tenant."""

    def __init__(self) -> None:
        self.listeners: set[TenantListener] = set()
        self.known: dict[UUID, JobChange] = {}  # that changed last come last
        self.hinted: set[UUID] = set()
        self.is_due = True  # the newest active jobs must be read
        self.is_uncounted = True
        self.counts: JobCounts | None = None

    def hint(self, job_ids: list[UUID]) -> None:
        self.hinted.update(job_ids)
        if not job_ids or len(self.hinted) > MAX_KNOWN:
            self.is_due = True
        if len(self.hinted) > MAX_KNOWN:
            self.hinted.clear()
            for listener in self.listeners:
                listener.reload()

    def take_due(self) -> tuple[bool, set[UUID]]:
        """Return whether the newest active jobs are due, and the jobs that are due by their ids."""
        is_due, job_ids = self.is_due, self.hinted
        if is_due:
            job_ids |= {job_id for job_id, change in self.known.items() if change.is_active}
        self.is_due, self.hinted = False, set()
        return is_due, job_ids

    def update(self, change: JobChange) -> None:
        if self.known.get(change.job_id) == change:
            return
        self.known.pop(change.job_id, None)
        self.known[change.job_id] = change
        if len(self.known) > MAX_KNOWN:
            del self.known[next(iter(self.known))]
        self.is_uncounted = True
        for listener in self.listeners:
            listener.update(change)


class TenantWatcher:
    """Watches the tenants of all listeners of a process. Does nothing without listeners."""

    def __init__(self, database: Database, shards: RedisShards) -> None:
        self._hints = HintReceivers(shards, self._on_hint, self._on_loss)
        self._database = database
        self._tenants: dict[str, _Tenant] = {}
        self._wake = asyncio.Event()
        self._polled_s = 0.0
        self._is_stopping = False
        self._has_failed = False
        self._outages = Outages(Log(__name__), "tenant_polling_failed", "tenant_polling_resumed")

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, database: Database, shards: RedisShards, stopping: asyncio.Event
    ) -> AsyncIterator["TenantWatcher"]:
        """Run a watcher during the block. End all listeners when `stopping` is set."""
        watcher = cls(database, shards)
        async with (
            watcher._hints.running(),
            run_beside(watcher._read_forever()),
            run_beside(watcher._count_forever()),
            run_beside(watcher._end_all(stopping)),
        ):
            yield watcher

    @contextmanager
    def listening(self, tenant: str) -> Iterator[TenantListener]:
        """Open a listener. It begins with the active jobs."""
        listener = TenantListener()
        if self._is_stopping:
            listener.end()
        watched = self._tenants.setdefault(tenant, _Tenant())
        watched.listeners.add(listener)
        for change in watched.known.values():
            if change.is_active:
                listener.update(change)
        if watched.counts:
            listener.count(watched.counts)
        EVENT_LISTENERS.inc()
        self._wake.set()
        try:
            with self._hints.watching(tenant, tenant_channel_of(tenant)):
                yield listener
        finally:
            EVENT_LISTENERS.dec()
            watched.listeners.remove(listener)
            if not watched.listeners:
                del self._tenants[tenant]

    def _on_hint(self, channel: str, message: bytes) -> None:
        if watched := self._tenants.get(channel.removeprefix(TENANT_CHANNEL)):
            watched.hint(ids_in(message))
            self._wake.set()

    def _on_loss(self) -> None:
        self._wake.set()  # the next poll is due earlier

    async def _end_all(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._is_stopping = True
        for watched in self._tenants.values():
            for listener in watched.listeners:
                listener.end()

    async def _read_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._wait()
            began_s = clock()
            if began_s >= self._poll_at_s():
                self._polled_s = began_s
                for watched in self._tenants.values():
                    watched.is_due = True
            await self._read()
            await asyncio.sleep(max(READ_S, PAUSE_FACTOR * (clock() - began_s)))

    def _poll_at_s(self) -> float:
        return self._polled_s + (POLL_S if self._hints.is_healthy and not self._has_failed else BLIND_POLL_S)

    async def _wait(self) -> None:
        """Wait for hints, for a listener, or for the next poll if there are listeners."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._poll_at_s() if self._tenants else None):
                await self._wake.wait()
        self._wake.clear()

    async def _read(self) -> None:
        """Read the jobs that are due, and update the listeners."""
        due = {name: each.take_due() for name, each in self._tenants.items() if each.is_due or each.hinted}
        if not due:
            return
        try:
            rows = await self._find(due)
        except Exception as error:  # noqa: BLE001 - the streams survive every error
            self._has_failed = True
            self._outages.failed(error, tenants=len(due))
            for name, (is_due, job_ids) in due.items():
                self._put_back(name, job_ids, is_due=is_due)
            return
        self._has_failed = False
        self._outages.worked()
        for row in rows:
            if watched := self._tenants.get(row["tenant"]):
                watched.update(JobChange(row["id"], state_of(row), row["filename"], row["created_at"]))

    def _put_back(self, name: str, job_ids: set[UUID], *, is_due: bool) -> None:
        if watched := self._tenants.get(name):
            watched.is_due |= is_due
            watched.hinted |= job_ids

    async def _find(self, due: dict[str, tuple[bool, set[UUID]]]) -> list[Any]:
        named = [(name, job_id) for name, (_, job_ids) in due.items() for job_id in job_ids]
        owners, job_ids = [owner for owner, _ in named], [job_id for _, job_id in named]
        newest = [name for name, (is_due, _) in due.items() if is_due]
        EVENT_QUERIES.inc()

        async def look(connection: Any) -> list[Any]:
            await connection.execute(PLAN_ONCE)
            return list(await connection.fetch(TENANT_STATES, owners, job_ids, newest))

        return await self._database.read(look, *due)

    async def _count_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began_s = clock()
            with suppress(OutageError):  # the reads report it
                await self._count_changed()
            await asyncio.sleep(max(COUNT_S, COUNT_PAUSE_FACTOR * (clock() - began_s)))

    async def _count_changed(self) -> None:
        for name, watched in list(self._tenants.items()):
            if watched.is_uncounted:
                watched.is_uncounted = False  # before the count: what changes during it needs another one
                watched.counts = await self._count(name, watched)
                for listener in watched.listeners:
                    listener.count(watched.counts)

    async def _count(self, name: str, watched: _Tenant) -> JobCounts:
        """Raise OutageError; the next round counts again."""
        try:
            return await self._database.read(
                lambda connection: count_jobs(connection, name, JobFilter()), name, needed=False
            )
        except OutageError:
            watched.is_uncounted = True
            raise
