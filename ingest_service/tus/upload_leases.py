"""Leases on uploads: one request at a time, in all processes, changes an upload. A newer request stops the older one.

A client that reconnects need not wait until its half-open connection times out: the old request stops, stores what it
has, and the new request continues after it. One heartbeat every two seconds serves all leases of a process. A process
that froze has lost its leases when it resumes; its writes are rejected.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import IngestError, RefusedError
from ingest_service.tus.upload_rows import COLUMNS, Upload, UploadRows, taken_over, upload_of
from shared.connections.tenancy import ALL_TENANTS
from shared.run_beside import run_beside
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

LEASE_S = 20.0
HEARTBEAT_S = 2.0
WAIT_S = 10.0  # for the holder to stop: one heartbeat, and the time to store its last part
POLLS_S = (0.05, 0.1, 0.2, 0.4)  # the last is repeated

TAKE = f"""
    UPDATE uploads SET lease_token = lease_token + 1, lease_expires_at = now() + make_interval(secs => $3),
        wanted = false
    WHERE tenant = $1 AND id = $2 AND ended_at IS NULL AND (completed_at IS NOT NULL OR expires_at > now())
        AND (lease_expires_at IS NULL OR lease_expires_at < now())
    RETURNING {COLUMNS}
"""  # noqa: S608 - constants
WANT = "UPDATE uploads SET wanted = true WHERE tenant = $1 AND id = $2 AND lease_expires_at > now()"
RELEASE = "UPDATE uploads SET lease_expires_at = NULL WHERE id = $1 AND lease_token = $2"
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
    """An upload that only this request may change."""

    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self._is_wanted = False
        self._receiving: asyncio.Timeout | None = None

    def stop(self) -> None:
        """Make the request stop receiving as soon as it waits for its client."""
        if self._receiving and not self._is_wanted:
            self._receiving.reschedule(0)
        self._is_wanted = True

    async def receive_while_held(self, receive: Receive) -> Any:
        """Return the next message; RefusedError `upload_taken_over` once another request wants the upload."""
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

    def __init__(self, database: Database, rows: UploadRows) -> None:
        self._database = database
        self._rows = rows
        self._outages = Outages(log, "upload_heartbeat_failed", "upload_heartbeat_recovered")
        self._holds: dict[tuple[UUID, int], Hold] = {}  # by upload and token: a lost lease may still be here

    @classmethod
    @asynccontextmanager
    async def kept(cls, database: Database, rows: UploadRows) -> AsyncIterator["UploadLeases"]:
        """Run the heartbeat during the block."""
        leases = cls(database, rows)
        async with run_beside(leases._heartbeat_forever()):
            yield leases

    @asynccontextmanager
    async def hold(self, tenant: str, upload_id: UUID) -> AsyncIterator[Hold]:
        """Hold an upload during the block. RefusedError `not_found`, `upload_gone`, or `upload_locked` after WAIT_S."""
        hold = Hold(await self._take(tenant, upload_id))
        key = upload_id, hold.upload.lease_token
        self._holds[key] = hold
        try:
            yield hold
        finally:
            del self._holds[key]
            await asyncio.shield(self._release(hold.upload))

    async def send_heartbeat(self) -> None:
        """Renew all leases; stop the requests whose upload is wanted elsewhere or whose lease is lost."""
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
            await self._rows.get(tenant, upload_id)  # raises if the upload is gone
            if waited_s >= WAIT_S:
                raise RefusedError("upload_locked", "Another request is using this upload. Try again soon.")
            if not waited_s:  # once: a waiting request must not stop a later one
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

    async def _release(self, upload: Upload) -> None:
        try:
            async with self._database.transaction(upload.tenant) as connection:
                await connection.execute(RELEASE, upload.id, upload.lease_token)
        except IngestError as error:  # the lease expires
            log.warning("upload_lease_not_released", upload_id=upload.id, error=error.detail)

    async def _heartbeat_forever(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                if self._holds:
                    await self.send_heartbeat()
                self._outages.worked()
            except Exception as error:  # noqa: BLE001 - the next heartbeat makes up for it, or the lease is lost
                self._outages.failed(error)
