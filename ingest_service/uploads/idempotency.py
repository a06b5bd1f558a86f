"""Submits what an `Idempotency-Key` stands for once: the same request again gets the same answer, and makes nothing.

Only a 202 is kept. A request that was refused, or broke off, gives its key back.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar.types import Receive

from ingest_service.errors import CommitUnknownError, RefusedError
from ingest_service.uploads.idempotency_keys import Answered, Claim, IdempotencyKeys
from ingest_service.uploads.receive import UploadHead
from ingest_service.uploads.submit import AcceptedJob, JobSubmitter

KEY = re.compile(r"[\x21-\x7e]{1,255}")


def idempotency_key(headers: Sequence[str]) -> str | None:
    """The key of a request; None without one. RefusedError `invalid_idempotency_key`."""
    if not headers:
        return None
    if len(headers) > 1 or not KEY.fullmatch(headers[0]):
        raise RefusedError("invalid_idempotency_key", "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return headers[0]


class OnceSubmitter:
    """The use case of every way to hand in audio under a key."""

    def __init__(self, submitter: JobSubmitter, keys: IdempotencyKeys) -> None:
        self._submitter = submitter
        self._keys = keys

    async def submit(self, tenant: str, key: str, head: UploadHead, receive: Receive) -> AcceptedJob | Answered:
        """A new job, or the one that the key made before.

        Raises as `JobSubmitter.submit`, and RefusedError `idempotency_in_progress` or `idempotency_mismatch`.
        """
        claim = await self._keys.claim(tenant, key)
        if isinstance(claim, Answered):
            return await self._again(claim, head, receive)
        return await self._first(claim, head, receive)

    async def _again(self, answered: Answered, head: UploadHead, receive: Receive) -> Answered:
        if await self._submitter.fingerprint(head, receive) != answered.fingerprint:
            detail = "This Idempotency-Key stands for other audio or other options; use a new key for a new job."
            raise RefusedError("idempotency_mismatch", detail)
        return answered

    async def _first(self, claim: Claim, head: UploadHead, receive: Receive) -> AcceptedJob:
        async def complete(connection: Any, job_id: UUID, fingerprint: str) -> None:
            await self._keys.complete(connection, claim, job_id, fingerprint)

        try:
            async with self._keys.held(claim):
                return await self._submitter.submit(claim.tenant, head, receive, also=complete)
        except CommitUnknownError:
            raise  # it may be answered already; if not, the claim ends soon
        except BaseException:  # a cancelled request must not keep its key either
            await asyncio.shield(self._keys.release(claim))
            raise
