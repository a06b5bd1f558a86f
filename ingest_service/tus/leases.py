"""Leases on uploads: one request at a time works on one, in whichever process, and a newer one makes it stop.

A client that comes back must not wait for its old, half-open connection to time out: the old request is told to stop,
stores what it has, and the new one goes on behind it. One statement every two seconds serves a whole process. A process
that froze has lost its lease when it wakes up, and its token no longer writes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import IngestError, RefusedError
from ingest_service.tus.records import UploadRecords
from ingest_service.tus.upload import COLUMNS, Upload, taken_over, upload_of
from shared.connections.tenancy import ALL_TENANTS
from shared.run_beside import run_beside
from shared.telemetry.logs import Log

log = Log(__name__)

LEASE_S = 20.0
BEAT_S = 2.0
WAIT_S = 10.0  # for the holder to stop: a beat, and the store's last part
POLLS_S = (0.05, 0.1, 0.2, 0.4)  # then always the last

TAKE = f"""
    UPDATE uploads SET lease_token = lease_token + 1, lease_expires_at = now() + make_interval(secs => $3),
        wanted = false
    WHERE tenant = $1 AND id = $2 AND ended_at IS NULL AND (completed_at IS NOT NULL OR expires_at > now())
        AND (lease_expires_at IS NULL OR lease_expires_at < now())
    RETURNING {COLUMNS}
"""  # noqa: S608 - constants
WANT = "UPDATE uploads SET wanted = true WHERE tenant = $1 AND id = $2 AND lease_expires_at > now()"
GIVE_BACK = "UPDATE uploads SET lease_expires_at = NULL WHERE id = $1 AND lease_token = $2"
RENEW = """
    UPDATE uploads u SET lease_expires_at = now() + make_interval(secs => $3)
    FROM unnest($1::uuid[], $2::bigint[]) AS mine(id, token)
    WHERE u.id = mine.id AND u.lease_token = mine.token AND u.lease_expires_at < now() + make_interval(secs => $3 / 2)
"""
TO_STOP = """
    SELECT mine.id, mine.token
    FROM unnest($1::uuid[], $2::bigint[]) AS mine(id, token) LEFT JOIN uploads u ON u.id = mine.id
    WHERE u.wanted OR u.lease_token IS DISTINCT FROM mine.token
"""


class Hold:
    """An upload that this request alone may change, as it stands."""

    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self._is_wanted = False
        self._receiving: asyncio.Timeout | None = None

    def stop(self) -> None:
        """Have the request stop receiving, as soon as it waits for its client."""
        if self._receiving and not self._is_wanted:
            self._receiving.reschedule(0)
        self._is_wanted = True

    async def until_wanted(self, receive: Receive) -> Any:
        """The request's next message; RefusedError `upload_taken_over` once another request wants the upload."""
        if self._is_wanted:
            raise taken_over()
        try:
            async with asyncio.timeout(None) as self._receiving:
                return await receive()
        except TimeoutError:
            raise taken_over() from None
        finally:
            self._receiving = None


class UploadLeases:
    """The leases of one process."""

    def __init__(self, database: Database, records: UploadRecords) -> None:
        self._database = database
        self._records = records
        self._holds: dict[tuple[UUID, int], Hold] = {}  # by upload and token: one that was lost may still be here

    @classmethod
    @asynccontextmanager
    async def kept(cls, database: Database, records: UploadRecords) -> AsyncIterator["UploadLeases"]:
        """Leases with the heartbeat that renews them."""
        leases = cls(database, records)
        async with run_beside(leases._beat_forever()):
            yield leases

    @asynccontextmanager
    async def hold(self, tenant: str, upload_id: UUID) -> AsyncIterator[Hold]:
        """Hold an upload for a block. RefusedError `not_found`, `upload_gone`, or `upload_locked` after a while."""
        hold = Hold(await self._take(tenant, upload_id))
        key = upload_id, hold.upload.lease_token
        self._holds[key] = hold
        try:
            yield hold
        finally:
            del self._holds[key]
            await asyncio.shield(self._give_back(hold.upload))

    async def beat(self) -> None:
        """Renew all, whoever's they are; stop those that are wanted or lost."""
        holds = dict(self._holds)
        ids, tokens = [upload_id for upload_id, _ in holds], [token for _, token in holds]
        async with self._database.transaction(ALL_TENANTS) as connection:
            await connection.execute(RENEW, ids, tokens, LEASE_S)
            for row in await connection.fetch(TO_STOP, ids, tokens):
                holds[row["id"], row["token"]].stop()

    async def _take(self, tenant: str, upload_id: UUID) -> Upload:
        polls_s = iter(POLLS_S)
        waited_s = 0.0
        while (upload := await self._try_to_take(tenant, upload_id)) is None:
            await self._records.get(tenant, upload_id)  # refuses what is gone
            if waited_s >= WAIT_S:
                raise RefusedError("upload_locked", "Another request works on this upload; try again soon.")
            if not waited_s:  # once: who waits must not stop those that come after
                await self._ask_to_stop(tenant, upload_id)
            pause_s = next(polls_s, POLLS_S[-1])
            waited_s += pause_s
            await asyncio.sleep(pause_s)
        return upload

    async def _try_to_take(self, tenant: str, upload_id: UUID) -> Upload | None:
        async with self._database.transaction(tenant) as connection:
            row = await connection.fetchrow(TAKE, tenant, upload_id, LEASE_S)
            return upload_of(row) if row else None

    async def _ask_to_stop(self, tenant: str, upload_id: UUID) -> None:
        for (held_id, _), hold in self._holds.items():
            if held_id == upload_id:
                hold.stop()
        async with self._database.transaction(tenant) as connection:
            await connection.execute(WANT, tenant, upload_id)

    async def _give_back(self, upload: Upload) -> None:
        try:
            async with self._database.transaction(upload.tenant) as connection:
                await connection.execute(GIVE_BACK, upload.id, upload.lease_token)
        except IngestError as error:  # it ends by itself
            log.warning("lease_not_given_back", upload_id=upload.id, error=error.detail)

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                if self._holds:
                    await self.beat()
            except Exception as error:  # noqa: BLE001 - a missed beat is made up by the next, or the lease is lost
                log.warning("lease_beat_failed", error=str(error))
