"""Makes a request with an `Idempotency-Key` create one job: a repeat gets the same answer.

Only a 202 is kept. A request that fails releases its key.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError, OutageError, RefusedError
from ingest_service.uploads.job_submitter import AcceptedJob, JobSubmitter
from ingest_service.uploads.receive import UploadHead
from shared.telemetry.logs import Log

log = Log(__name__)

KEY = re.compile(r"[\x21-\x7e]{1,255}")

# A claim expires after a minute and is renewed during its request, so a dead process blocks its keys only briefly.
CLAIM_S = 60.0
RENEWALS_PER_CLAIM = 3

# The statement sets the tenant itself, before row-level security checks the new row. This saves two round trips.
CLAIM = """
    INSERT INTO idempotency_keys AS known (tenant, key, claim, expires_at)
    SELECT named, $2::text, $3::uuid, now() + make_interval(secs => $4)
    FROM set_config('headrace.tenant', $1::text, true) AS named
    ON CONFLICT (tenant, key) DO UPDATE
        SET claim = excluded.claim, expires_at = excluded.expires_at, job_id = NULL, fingerprint = NULL
        WHERE known.expires_at < now()
    RETURNING claim
"""
ANSWER = "SELECT job_id, fingerprint FROM idempotency_keys WHERE tenant = $1 AND key = $2 AND expires_at >= now()"
OURS = "tenant = $1 AND key = $2 AND claim = $3 AND job_id IS NULL"
RENEW = f"UPDATE idempotency_keys SET expires_at = now() + make_interval(secs => $4) WHERE {OURS}"  # noqa: S608 - constants
RELEASE = f"DELETE FROM idempotency_keys WHERE {OURS}"  # noqa: S608 - constants
COMPLETE = f"""
    UPDATE idempotency_keys SET job_id = $4, fingerprint = $5, expires_at = now() + make_interval(secs => $6)
    WHERE {OURS} RETURNING job_id
"""  # noqa: S608 - constants


class Claim(msgspec.Struct, frozen=True):
    """The right of one request to create the job of its key."""

    tenant: str
    key: str
    token: UUID


class StoredResponse(msgspec.Struct, frozen=True):
    """The job that an earlier request with the key created."""

    job_id: UUID
    fingerprint: str


class IdempotencyKeys:
    """The claims and answers of keys. Times are the database's. Raises OutageError."""

    def __init__(self, database: Database, *, kept_s: float) -> None:
        self._database = database
        self._kept_s = kept_s

    async def claim(self, tenant: str, key: str) -> Claim | StoredResponse:
        """Claim the key, or return its answer. RefusedError `idempotency_in_progress` while another request has it."""
        claim = Claim(tenant, key, uuid4())
        async with self._database.connection() as connection:
            if await connection.fetchval(CLAIM, tenant, key, claim.token, CLAIM_S):
                return claim
        async with self._database.reading(tenant) as connection:
            row = await connection.fetchrow(ANSWER, tenant, key)
        if row is None or row["job_id"] is None:  # None: it was released just now
            raise _in_progress()
        return StoredResponse(row["job_id"], row["fingerprint"])

    @asynccontextmanager
    async def held(self, claim: Claim) -> AsyncIterator[None]:
        """Renew the claim during the block."""
        renewing = asyncio.create_task(self._renew_forever(claim))
        try:
            yield
        finally:
            renewing.cancel()

    async def release(self, claim: Claim) -> None:
        """Release the key, unless it has an answer. After an error here, the claim expires."""
        try:
            async with self._database.transaction(claim.tenant) as connection:
                await connection.execute(RELEASE, claim.tenant, claim.key, claim.token)
        except OutageError:
            log.warning("idempotency_key_not_released")

    async def complete(self, connection: Any, claim: Claim, job_id: UUID, fingerprint: str) -> None:
        """Write the answer in the job's transaction. RefusedError if another request has taken the key."""
        answer = job_id, fingerprint, self._kept_s
        if not await connection.fetchval(COMPLETE, claim.tenant, claim.key, claim.token, *answer):
            raise _in_progress()

    async def _renew_forever(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(CLAIM_S / RENEWALS_PER_CLAIM)
            try:
                async with self._database.transaction(claim.tenant) as connection:
                    await connection.execute(RENEW, claim.tenant, claim.key, claim.token, CLAIM_S)
            except OutageError:
                log.warning("idempotency_key_not_renewed")


def _in_progress() -> RefusedError:
    return RefusedError(
        "idempotency_in_progress", "A request with this Idempotency-Key is in progress. Retry when it has finished."
    )


def idempotency_key(headers: Sequence[str]) -> str | None:
    """The key of a request, or None. RefusedError `invalid_idempotency_key`."""
    if not headers:
        return None
    if len(headers) > 1 or not KEY.fullmatch(headers[0]):
        raise RefusedError(
            "invalid_idempotency_key", "`Idempotency-Key` must be 1 to 255 visible ASCII characters, sent once."
        )
    return headers[0]


class IdempotentSubmitter:
    """Submits audio with an idempotency key, by any upload method."""

    def __init__(self, submitter: JobSubmitter, keys: IdempotencyKeys) -> None:
        self._submitter = submitter
        self._keys = keys

    async def submit(  # noqa: PLR0913 - the wishes of one request
        self,
        tenant: str,
        key: str,
        head: UploadHead,
        receive: Receive,
        *,
        interactive: bool = False,
        attach: bool = False,
    ) -> AcceptedJob | StoredResponse:
        """Return a new job, or the job that the key created before.

        Raises what `JobSubmitter.submit` raises, and RefusedError `idempotency_in_progress` or `idempotency_mismatch`.
        """
        claim = await self._keys.claim(tenant, key)
        if isinstance(claim, StoredResponse):
            return await self._again(claim, head, receive)
        return await self._first(claim, head, receive, interactive=interactive, attach=attach)

    async def _again(self, answered: StoredResponse, head: UploadHead, receive: Receive) -> StoredResponse:
        if await self._submitter.fingerprint(head, receive) != answered.fingerprint:
            detail = "This Idempotency-Key was used with other audio or options. Use a new key for a new job."
            raise RefusedError("idempotency_mismatch", detail)
        return answered

    async def _first(
        self, claim: Claim, head: UploadHead, receive: Receive, *, interactive: bool, attach: bool
    ) -> AcceptedJob:
        async def complete(connection: Any, job_id: UUID, fingerprint: str) -> None:
            await self._keys.complete(connection, claim, job_id, fingerprint)

        try:
            async with self._keys.held(claim):
                return await self._submitter.submit(
                    claim.tenant, head, receive, also=complete, interactive=interactive, attach=attach
                )
        except CommitUnknownError:
            raise  # the key may have its answer; if not, the claim expires
        except BaseException:  # a cancelled request must not keep its key
            await asyncio.shield(self._keys.release(claim))
            raise
