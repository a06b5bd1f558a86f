"""Reads of clients on a streaming replica. They show nothing older than the primary would.

A read first asks the primary for the end of its log: what was acknowledged, or announced by a hint, before the read
began is before it. Concurrent reads share one such query. The read then runs on the replica as soon as this has
replayed so far; if that takes longer than WAIT_S, or fails, it runs on the primary. So nothing need be known of who
wrote what. After a failure the replica is not used until it has caught up again.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import asyncpg

from ingest_service.database import Database, Query, T
from ingest_service.errors import OutageError
from ingest_service.settings import IngestSettings
from ingest_service.telemetry.metrics import DATABASE_OUTAGES, REPLICA_READS
from shared.connections.primary import timeline_of
from shared.run_beside import run_beside
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

WAIT_S = 0.05  # for the replica, which is usually 1 to 3 ms behind
LOOK_S = 0.002
CHECK_S = 1.0  # between two checks of a replica that is not used

# PostgreSQL acknowledges a commit when it is flushed. A promoted server keeps the cluster's identifier, but begins a
# timeline; a replica that does not follow it may have another history at the same position.
END_OF_LOG = """
    SELECT system_identifier AS cluster, pg_walfile_name(flushed) AS file, (flushed - '0/0')::bigint AS at
    FROM pg_control_system(), pg_current_wal_flush_lsn() AS flushed
"""
REPLAYED = """
    SELECT system_identifier AS cluster, timeline_id AS timeline, (pg_last_wal_replay_lsn() - '0/0')::bigint AS at,
           pg_is_in_recovery() AND current_setting('transaction_isolation') = 'read committed' AS is_replica
    FROM pg_control_system(), pg_control_checkpoint()
"""

# The replica cancels a query whose rows the primary has removed.
CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class Position(NamedTuple):
    """A position in the log of a cluster, in bytes."""

    cluster: int
    timeline: int
    at: int


class NotReplayedError(Exception):
    """The replica cannot show what the primary has."""


class EndOfLog:
    """The position that the primary's log has reached. Concurrent calls share one query, and its error."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: asyncio.Task[Position] | None = None
        self._next: asyncio.Task[Position] | None = None  # waits for the running one

    async def get(self) -> Position:
        """Return a position that was read after the call began. Raise NotReplayedError, or OutageError."""
        if self._next is None:
            reading = self._read_after(self._running)
            self._next = asyncio.create_task(reading, context=contextvars.Context())
        return await asyncio.shield(self._next)  # other calls may wait for it

    async def _read_after(self, previous: asyncio.Task[Position] | None) -> Position:
        if previous is not None:
            await asyncio.wait([previous])
        self._running, self._next = self._next, None
        try:
            async with self._database.connection(needed=False) as connection:
                row = await connection.fetchrow(END_OF_LOG)
        except asyncpg.PostgresError as error:  # a replica itself, or without the right
            raise NotReplayedError(f"the primary does not say how far its log is: {error}") from error
        return Position(row["cluster"], timeline_of(row["file"]), row["at"])


class ReplicatedDatabase(Database):
    """A primary and its replica."""

    def __init__(self, pool: Any) -> None:
        super().__init__(pool)
        self._end_of_log = EndOfLog(self)
        self._replica: Database | None = None
        self._unused = asyncio.Event()
        self._outages = Outages(Log(__name__), "replica_not_used", "replica_used_again")

    @asynccontextmanager
    async def reading_from(self, replica: Database) -> AsyncIterator[None]:
        """Use the replica during the block."""
        self._replica = replica
        async with run_beside(self._check_forever(replica)):
            yield

    async def read(self, query: Query[T], *tenants: str, needed: bool = True) -> T:
        if self._replica is not None and not self._unused.is_set():
            try:
                found = await self._read_replica(self._replica, query, tenants)
            except CONFLICTS:
                pass
            except NotReplayedError as error:
                self._outages.failed(error)
                self._unused.set()
            except OutageError as error:  # of the primary
                if needed:
                    DATABASE_OUTAGES.inc()
                raise OutageError(error.code, error.detail) from error.__cause__  # other calls get the same object
            else:
                REPLICA_READS["replica"].inc()
                return found
        REPLICA_READS["primary"].inc()
        return await super().read(query, *tenants, needed=needed)

    async def _read_replica(self, replica: Database, query: Query[T], tenants: tuple[str, ...]) -> T:
        """Raise NotReplayedError; OutageError if the primary is unavailable; and what the query raises."""
        position = await self._end_of_log.get()
        try:
            async with replica.reading(*tenants, needed=False) as connection:
                await _wait_for(connection, position)
                return await query(connection)
        except OutageError as error:
            raise NotReplayedError(f"the replica is unavailable: {type(error.__cause__).__name__}") from error

    async def _check_forever(self, replica: Database) -> None:
        while True:
            await self._unused.wait()
            await asyncio.sleep(CHECK_S)
            with suppress(NotReplayedError, OutageError):
                await self._read_replica(replica, _nothing, ())
                self._unused.clear()
                self._outages.worked()


async def _nothing(_: Any) -> None:
    pass


async def _wait_for(connection: Any, wanted: Position) -> None:
    """Return when the replica has replayed the position. Raise NotReplayedError."""
    clock = asyncio.get_running_loop().time
    until_s = clock() + WAIT_S
    while not has_replayed(await _replayed(connection), wanted):
        if clock() > until_s:
            raise NotReplayedError(f"the replica is more than {WAIT_S * 1000:.0f} ms behind")
        await asyncio.sleep(LOOK_S)


async def _replayed(connection: Any) -> Mapping[str, Any]:
    try:
        row: Mapping[str, Any] = await connection.fetchrow(REPLAYED)
    except asyncpg.PostgresError as error:
        raise NotReplayedError(f"the replica does not say what it has replayed: {error}") from error
    return row


def has_replayed(row: Mapping[str, Any], wanted: Position) -> bool:
    """Whether a row of REPLAYED has reached the position. Raise NotReplayedError if a wait is in vain."""
    if not row["is_replica"]:
        raise NotReplayedError("the server is a primary, or its transactions keep their first snapshot")
    if row["cluster"] != wanted.cluster:
        raise NotReplayedError("the server is a replica of another database cluster")
    if row["timeline"] != wanted.timeline:
        raise NotReplayedError(
            "the replica has made no checkpoint since the primary was promoted, or does not follow it"
        )
    return bool(row["at"] >= wanted.at)


@asynccontextmanager
async def open_database(settings: IngestSettings, pool_size: int) -> AsyncIterator[Database]:
    """Open the database, with its replica if there is one. Connects to nothing."""
    url, replica_url = settings.database_url.reveal(), settings.database_replica_url.reveal()
    if not replica_url:
        async with Database.opened(url, pool_size, settings.database_pooler) as database:
            yield database
        return
    async with (
        ReplicatedDatabase.opened(url, pool_size, settings.database_pooler) as replicated,
        Database.opened(replica_url, pool_size, settings.database_pooler) as replica,
        replicated.reading_from(replica),
    ):
        yield replicated
