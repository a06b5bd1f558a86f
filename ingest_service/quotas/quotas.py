"""Keeps tenants within their quotas: an approximate check before a body is read, the exact check in the job's commit.

For the exact check, a lock per tenant makes all processes commit the tenant's jobs in sequence, so that the usage
cannot change between the check and the commit. Tenants without quotas take no lock and cost no query.
"""

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.errors import LimitError
from ingest_service.job_queues import JobQueues
from ingest_service.quotas.bounds import Bounds, bound_reached
from ingest_service.quotas.quota_usage import Quotas, UsageCache, Used, read_usage_of
from shared.blobs.blob_keys import DIRECT_KEPT_S
from shared.schemas.options import SubmitOptions

QUEUE_RETRY_S = 60  # when a job will leave the queue is unknown
AT_ONCE_RETRY_S = 5
# Locks in a fixed order, so that two batches cannot deadlock. The first number is "quot" in ASCII.
LOCK = """
    SELECT pg_advisory_xact_lock(x'71756f74'::int, number)
    FROM (SELECT DISTINCT hashtext(tenant) AS number FROM unnest($1::text[]) AS tenant ORDER BY 1) AS tenants
"""

COUNT_QUEUED = "SELECT count(*) FROM (SELECT FROM jobs WHERE tenant = $1 AND status = 'QUEUED' LIMIT $2) AS queued"


class Wanted(msgspec.Struct, frozen=True):
    """A job or an upload that is about to be committed."""

    tenant: str
    bytes: int
    guessed_s: float = 0.0  # seconds of audio
    reserved_bytes: int = 0  # that the usage contains already, such as the upload that becomes the job


class QuotaGate:
    """Checks quotas: `precheck` before an upload, `require` and `check_batch` in the transaction of the commit."""

    def __init__(
        self, database: Database, defaults: Quotas, bounds: Bounds | None = None, queues: JobQueues | None = None
    ) -> None:
        self.usage_cache = UsageCache(database, defaults)
        self.defaults = defaults
        self._bounds = bounds or Bounds()
        self.queues = queues or JobQueues()

    async def precheck(self, tenant: str, least_bytes: int, *, reserved_bytes: int = 0) -> None:
        """Raise LimitError if `least_bytes` more exceed a quota, judging by usage that is up to a second old.

        The usage may contain `reserved_bytes` of them already.
        """
        usage = await self.usage_cache.find(tenant)
        if usage is None or not usage.quotas.apply_to_jobs:
            return
        if error := over_quota(usage.quotas, usage.used.without(reserved_bytes), least_bytes, _now()):
            raise error

    async def queue_of(self, tenant: str, options: SubmitOptions) -> str:
        """Return the name of the queue of a tenant's new job. A change of the tenant's takes effect within seconds."""
        usage = await self.usage_cache.find(tenant)
        return self.queues.choose(options, of_tenant=usage.queue if usage else None)

    async def require_upload(
        self, connection: Any, tenant: str, least_bytes: int, *, is_presigned: bool = False
    ) -> None:
        """Raise LimitError unless another upload fits. Call it in the transaction that adds the upload."""
        await connection.execute(LOCK, [tenant])
        await self._bounds.require_upload(connection, tenant, DIRECT_KEPT_S)
        usage = (await read_usage_of(connection, [tenant], self.defaults))[tenant]
        guessed_bytes = usage.used.presigned_bytes if is_presigned else 0
        if error := over_quota(usage.quotas, usage.used.without(-guessed_bytes), least_bytes, _now()):
            raise error

    async def require_bytes(self, connection: Any, tenant: str, more_bytes: int) -> None:
        """Raise LimitError unless an upload may grow beyond what it reserved. Call it in that transaction."""
        if not self.usage_cache.may_have_quotas(tenant):
            return
        await connection.execute(LOCK, [tenant])
        usage = (await read_usage_of(connection, [tenant], self.defaults))[tenant]
        only_bytes = Quotas(bytes_a_day=usage.quotas.bytes_a_day)
        if more_bytes > 0 and (error := over_quota(only_bytes, usage.used, more_bytes, _now())):
            raise error

    async def require_room_in_queue(self, connection: Any, tenant: str) -> None:
        """Raise LimitError if a job that was queued again in this transaction is one too many. It uses no bytes."""
        if not self.usage_cache.may_have_quotas(tenant):
            return
        await connection.execute(LOCK, [tenant])
        quotas = (await read_usage_of(connection, [tenant], self.defaults))[tenant].quotas
        only_queue = Quotas(jobs_queued=quotas.jobs_queued)
        queued = await connection.fetchval(COUNT_QUEUED, tenant, quotas.jobs_queued + 1)
        if quotas.jobs_queued and (error := over_quota(only_queue, Used(jobs_queued=queued - 1), 0, _now())):
            raise error

    def require_parts(self, parts: int) -> None:
        """Raise LimitError if a resumable upload has too many parts."""
        if parts > self._bounds.parts:
            raise bound_reached("upload_parts", self._bounds.parts)

    async def require(self, connection: Any, wanted: Wanted) -> None:
        """Raise LimitError unless the job fits. Call it in the transaction that commits the job."""
        (outcome,) = await self.check_batch(connection, [wanted])
        if outcome:
            raise outcome

    async def check_batch(self, connection: Any, wanted: Sequence[Wanted]) -> list[LimitError | None]:
        """Return each job's LimitError or None. Call it in the transaction that commits the jobs without an error."""
        tenants = sorted({one.tenant for one in wanted if self.usage_cache.may_have_quotas(one.tenant)})
        outcomes: list[LimitError | None] = [None] * len(wanted)
        if not tenants:
            return outcomes
        await connection.execute(LOCK, tenants)
        usages = await read_usage_of(connection, tenants, self.defaults)
        for tenant, usage in usages.items():
            indices = [index for index, one in enumerate(wanted) if one.tenant == tenant]
            errors = over_quota_each(usage.quotas, usage.used, [wanted[index] for index in indices], _now())
            for index, outcome in zip(indices, errors, strict=True):
                outcomes[index] = outcome
        return outcomes


def over_quota(quotas: Quotas, used: Used, job_bytes: int, now: dt.datetime) -> LimitError | None:
    """The error for a job of at least `job_bytes`, or None. The length of its audio is not known yet."""
    most = quotas.bytes_a_day
    if most and used.bytes + max(1, job_bytes) > most:
        detail = f"{used.bytes} of {most} bytes are used today; this upload has {job_bytes}"
        return quota_exceeded("bytes_a_day", detail, seconds_to_midnight(now))
    most = quotas.audio_seconds_a_day
    if most and used.audio_s >= most:
        detail = f"{used.audio_s:.0f} of {most} seconds of audio are used today"
        return quota_exceeded("audio_seconds_a_day", detail, seconds_to_midnight(now))
    if quotas.jobs_queued and used.jobs_queued >= quotas.jobs_queued:
        detail = f"{quotas.jobs_queued} jobs may be queued, and are"
        return quota_exceeded("jobs_queued", detail, QUEUE_RETRY_S)
    return None


def over_quota_each(quotas: Quotas, used: Used, wanted: Sequence[Wanted], now: dt.datetime) -> list[LimitError | None]:
    """`over_quota` for several jobs in sequence. A job behind a refused one may still fit."""
    outcomes = []
    for job in wanted:
        before = used.without(job.reserved_bytes)
        outcome = over_quota(quotas, before, job.bytes, now)
        outcomes.append(outcome)
        if outcome is None:
            used = before.plus(job.bytes, job.guessed_s)
    return outcomes


def quota_exceeded(quota: str, detail: str, retry_after_s: int) -> LimitError:
    """The error that names a quota."""
    return LimitError("quota_exceeded", f"Quota `{quota}` exceeded: {detail}.", retry_after_s)


def seconds_to_midnight(now: dt.datetime) -> int:
    """Whole seconds until the next UTC day, at least 1."""
    midnight = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
    return max(1, math.ceil((midnight - now).total_seconds()))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
