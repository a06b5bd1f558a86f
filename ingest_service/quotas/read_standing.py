"""Reads how tenants stand: what they may use, and what of it they have used."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ingest_service.quotas.quotas import Quotas, Used

# A quota is the tenant's own, else ($2 to $5) the settings'. Nothing is counted for a quota that is not there.
STANDING = """
    WITH quotas AS (
        SELECT tenant, coalesce(bytes_a_day, $2::bigint) AS bytes_a_day,
               coalesce(audio_seconds_a_day, $3::bigint) AS audio_seconds_a_day,
               coalesce(jobs_queued, $4::int) AS jobs_queued,
               coalesce(uploads_at_once, $5::int) AS uploads_at_once
        FROM unnest($1::text[]) AS asked (tenant) LEFT JOIN tenant_quotas USING (tenant)
    )
    SELECT quotas.*, today.bytes AS used_bytes, today.audio_s AS used_audio_s, queue.jobs AS used_jobs_queued
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
"""


class Standing(msgspec.Struct, frozen=True):
    """A tenant's quotas and what it has used of them."""

    quotas: Quotas
    used: Used


async def read_standing(connection: Any, tenants: Iterable[str], defaults: Quotas) -> Mapping[str, Standing]:
    """The standing of each tenant."""
    rows = await connection.fetch(STANDING, list(tenants), *msgspec.structs.astuple(defaults))
    return {row["tenant"]: _standing(row) for row in rows}


def _standing(row: Any) -> Standing:
    quotas = Quotas(
        bytes_a_day=row["bytes_a_day"],
        audio_seconds_a_day=row["audio_seconds_a_day"],
        jobs_queued=row["jobs_queued"],
        uploads_at_once=row["uploads_at_once"],
    )
    used = Used(bytes=row["used_bytes"], audio_s=row["used_audio_s"], jobs_queued=row["used_jobs_queued"])
    return Standing(quotas, used)
