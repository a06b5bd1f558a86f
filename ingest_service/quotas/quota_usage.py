"""Reads a tenant's quotas and what it has used today, from the rows.

What is not known or not used yet counts as reserved, and is computed from the rows, so that no crash can leave a
reservation behind: the declared length of an open resumable upload (or the bytes that arrived), a guess for a
URL that is not fetched, and a guess for the seconds of audio that is not decoded. A presigned upload is checked when it
becomes a job; before that, a guess counts against further presigned uploads.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ingest_service.database import Database
from shared.blobs.blob_keys import DIRECT_KEPT_S
from shared.queue.task_costs import BYTES_A_SECOND, COMPRESSED_BYTES_A_SECOND, UNKNOWN_S
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

GUESSED_BYTES = 32 << 20  # of audio that is not here yet; and at most a tenth of the quota (presigned: a hundredth)
CACHED_S = 1.0  # the usage of a tenant with quotas
CACHED_WITHOUT_QUOTAS_S = 5.0  # a new quota takes effect within this time
READ_TIMEOUT_S = 1.0  # for the database; after that the approximate check lets the request pass

# As `guess_s`, in SQL.
GUESSED_S = f"""
    CASE WHEN source_bytes IS NULL THEN {UNKNOWN_S}.0 ELSE source_bytes / CASE container
    {" ".join(f"WHEN '{container}' THEN {rate}.0" for container, rate in BYTES_A_SECOND.items())}
    ELSE {COMPRESSED_BYTES_A_SECOND}.0 END END
"""

# A tenant's own quota overrides the default ($2 to $5). Usage is counted only for quotas that are set; `$6` and
# `$7`: the guess of an unknown size, and how long a presigned upload may become a job.
USAGE = """
    WITH quotas AS (
        SELECT tenant, coalesce(bytes_a_day, $2::bigint) AS bytes_a_day,
               coalesce(audio_seconds_a_day, $3::bigint) AS audio_seconds_a_day,
               coalesce(jobs_queued, $4::int) AS jobs_queued,
               coalesce(uploads_at_once, $5::int) AS uploads_at_once, queue AS job_queue
        FROM unnest($1::text[]) AS asked (tenant) LEFT JOIN tenant_quotas USING (tenant)
    )
    SELECT quotas.*, today.bytes + reserved.bytes + undecoded.bytes AS used_bytes,
        today.audio_s + undecoded.audio_s AS used_audio_s, queue.jobs AS used_jobs_queued,
        presigned.bytes AS presigned_bytes
    FROM quotas
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(bytes), 0)::bigint AS bytes, coalesce(sum(audio_s), 0) AS audio_s FROM tenant_usage AS used
        WHERE used.tenant = quotas.tenant AND day = usage_day() AND (bytes_a_day > 0 OR audio_seconds_a_day > 0)
    ) AS today
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS jobs FROM (
            SELECT 1 FROM jobs WHERE jobs.tenant = quotas.tenant AND status = 'QUEUED' LIMIT quotas.jobs_queued
        ) AS counted
    ) AS queue
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(coalesce(length_bytes, offset_bytes)), 0)::bigint AS bytes FROM uploads
        WHERE uploads.tenant = quotas.tenant AND completed_at IS NULL AND ended_at IS NULL AND expires_at > now()
            AND bytes_a_day > 0 AND NOT EXISTS (SELECT FROM jobs WHERE jobs.id = uploads.job_id)
    ) AS reserved
    CROSS JOIN LATERAL (
        SELECT (count(*) * least($6::bigint, ceil(bytes_a_day / 100.0)::bigint))::bigint AS bytes FROM direct_uploads
        WHERE direct_uploads.tenant = quotas.tenant AND job_id IS NULL AND bytes_a_day > 0
            AND created_at > now() - make_interval(secs => $7)
    ) AS presigned
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(least($6::bigint, ceil(bytes_a_day / 10.0)::bigint))
                FILTER (WHERE source_bytes IS NULL AND bytes_a_day > 0), 0)::bigint AS bytes,
            coalesce(sum(least(GUESSED_S, audio_seconds_a_day / 10.0)) FILTER (WHERE source_bytes IS NULL), 0)
            + coalesce(sum(greatest(1, GUESSED_S)) FILTER (WHERE source_bytes IS NOT NULL), 0) AS audio_s
        FROM (
            SELECT source_bytes, container FROM jobs
            WHERE jobs.tenant = quotas.tenant AND status = 'QUEUED' AND duration_s IS NULL
            UNION ALL
            SELECT source_bytes, container FROM jobs
            WHERE jobs.tenant = quotas.tenant AND status = 'PROCESSING' AND duration_s IS NULL
            LIMIT CASE WHEN bytes_a_day > 0 OR audio_seconds_a_day > 0
                THEN least(greatest(audio_seconds_a_day, 1000), 100000) ELSE 0 END
        ) AS waiting
    ) AS undecoded
""".replace("GUESSED_S", GUESSED_S)


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """The quotas of a tenant; 0 means no limit."""

    bytes_a_day: int = 0
    audio_seconds_a_day: int = 0
    jobs_queued: int = 0
    uploads_at_once: int = 0

    @property
    def apply_to_jobs(self) -> bool:
        """Whether a quota depends on the tenant's other jobs."""
        return bool(self.bytes_a_day or self.audio_seconds_a_day or self.jobs_queued)


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has used today (UTC), and its queued jobs (counted up to the quota only)."""

    bytes: int = 0
    audio_s: float = 0.0
    jobs_queued: int = 0
    presigned_bytes: int = (
        0  # guessed, of presigned uploads that are not jobs yet: they count against further ones only
    )

    def plus(self, job_bytes: int, guessed_s: float = 0.0) -> "Used":
        """The usage after another job."""
        return msgspec.structs.replace(
            self, bytes=self.bytes + job_bytes, audio_s=self.audio_s + guessed_s, jobs_queued=self.jobs_queued + 1
        )

    def without(self, reserved_bytes: int) -> "Used":
        """The usage without a reservation."""
        return msgspec.structs.replace(self, bytes=max(0, self.bytes - reserved_bytes))


class QuotaUsage(msgspec.Struct, frozen=True):
    """A tenant's quotas and usage."""

    quotas: Quotas
    used: Used
    queue: str | None = None  # of the tenant's jobs that name none


async def read_usage_of(connection: Any, tenants: Iterable[str], defaults: Quotas) -> Mapping[str, QuotaUsage]:
    """Read the quotas and usage of each tenant."""
    rows = await connection.fetch(
        USAGE, list(tenants), *msgspec.structs.astuple(defaults), GUESSED_BYTES, DIRECT_KEPT_S
    )
    return {row["tenant"]: _usage_of(row) for row in rows}


def _usage_of(row: Any) -> QuotaUsage:
    quotas = Quotas(**{name: row[name] for name in Quotas.__struct_fields__})
    used = Used(
        bytes=row["used_bytes"],
        audio_s=row["used_audio_s"],
        jobs_queued=row["used_jobs_queued"],
        presigned_bytes=row["presigned_bytes"],
    )
    return QuotaUsage(quotas, used, row["job_queue"])


class UsageCache:
    """Caches quotas and usage, at most a second old, so that an upload need not wait for the database."""

    def __init__(self, database: Database, defaults: Quotas) -> None:
        self._database = database
        self._defaults = defaults
        self._known: dict[str, QuotaUsage] = {}
        self._stale_at_s: dict[str, float] = {}
        self._outages = Outages(Log(__name__), "quota_usage_unavailable", "quota_usage_recovered")
        self._asking: dict[str, asyncio.Task[None]] = {}

    def may_have_quotas(self, tenant: str) -> bool:
        """Whether the commit must check the tenant's quotas."""
        usage = self._known.get(tenant)
        return usage is None or usage.quotas.apply_to_jobs

    async def find(self, tenant: str) -> QuotaUsage | None:
        """A tenant's recent quotas and usage; None while the database does not answer. Raises nothing."""
        if asyncio.get_running_loop().time() >= self._stale_at_s.get(tenant, 0.0):
            asking = self._asking.get(tenant) or self._ask(tenant)
            await asyncio.wait([asking], timeout=READ_TIMEOUT_S)
        return self._known.get(tenant)

    def _ask(self, tenant: str) -> asyncio.Task[None]:
        asking = asyncio.create_task(self._read(tenant))
        self._asking[tenant] = asking
        asking.add_done_callback(lambda _: self._asking.pop(tenant, None))
        return asking

    async def _read(self, tenant: str) -> None:
        fresh_s = CACHED_S
        try:
            async with self._database.reading(tenant, needed=False) as connection:
                usage = (await read_usage_of(connection, [tenant], self._defaults))[tenant]
        except Exception as error:  # noqa: BLE001 - the code that needs the database reports the error
            self._outages.failed(error)
        else:
            self._outages.worked()
            self._known[tenant] = usage
            fresh_s = CACHED_S if usage.quotas != Quotas() else CACHED_WITHOUT_QUOTAS_S
        self._stale_at_s[tenant] = asyncio.get_running_loop().time() + fresh_s
