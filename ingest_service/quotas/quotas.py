"""Decides whether an upload fits a tenant's quotas. Pure: what was used is told, and nothing is counted here."""

import asyncio
import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.errors import LimitError
from shared.telemetry.logs import Log

QUEUE_RETRY_S = 60  # a job leaves the queue when its turn comes, and nobody knows when that is
AT_ONCE_RETRY_S = 5


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant may use; 0 is no limit."""

    bytes_a_day: int = 0
    audio_seconds_a_day: int = 0
    jobs_queued: int = 0
    uploads_at_once: int = 0

    @property
    def bind_jobs(self) -> bool:
        """Whether a job may be refused by what others of its tenant have used."""
        return bool(self.bytes_a_day or self.audio_seconds_a_day or self.jobs_queued)


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has used today, and has in the queue now (which is counted up to its quota only)."""

    bytes: int = 0
    audio_s: float = 0.0
    jobs_queued: int = 0

    def plus(self, job_bytes: int) -> "Used":
        """With another job in the queue."""
        return Used(bytes=self.bytes + job_bytes, audio_s=self.audio_s, jobs_queued=self.jobs_queued + 1)


def over_quota(quotas: Quotas, used: Used, job_bytes: int, now: dt.datetime) -> LimitError | None:
    """Why a job of at least so many bytes is too much, or None. Its audio's length is not known yet."""
    most = quotas.bytes_a_day
    if most and used.bytes + max(1, job_bytes) > most:
        detail = f"{used.bytes} of {most} bytes are used today, and this is {job_bytes} more"
        return quota_exceeded("bytes_a_day", detail, seconds_to_midnight(now))
    most = quotas.audio_seconds_a_day
    if most and used.audio_s >= most:
        detail = f"{used.audio_s:.0f} of {most} seconds of audio are used today"
        return quota_exceeded("audio_seconds_a_day", detail, seconds_to_midnight(now))
    if quotas.jobs_queued and used.jobs_queued >= quotas.jobs_queued:
        detail = f"{quotas.jobs_queued} jobs are in the queue, and more may not be"
        return quota_exceeded("jobs_queued", detail, QUEUE_RETRY_S)
    return None


def over_quota_each(quotas: Quotas, used: Used, jobs_bytes: Sequence[int], now: dt.datetime) -> list[LimitError | None]:
    """The same for several jobs one after the other: who comes behind one that is too much may still fit."""
    outcomes = []
    for job_bytes in jobs_bytes:
        outcome = over_quota(quotas, used, job_bytes, now)
        outcomes.append(outcome)
        if outcome is None:
            used = used.plus(job_bytes)
    return outcomes


def quota_exceeded(quota: str, detail: str, retry_after_s: int) -> LimitError:
    """The refusal that names a quota."""
    return LimitError("quota_exceeded", f"The quota `{quota}`: {detail}.", retry_after_s)


def seconds_to_midnight(now: dt.datetime) -> int:
    """Whole seconds until the next day of UTC begins, at least 1. `now` is a time in UTC."""
    midnight = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
    return max(1, math.ceil((midnight - now).total_seconds()))


# Reads how tenants stand: what they may use, and what of it they have used.

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


# Remembers for a moment how tenants stand, so that an upload need not wait for the database to be let in.
#
# What is remembered may be a second old: it keeps out who is surely over. What is exact is decided in the commit.

log = Log(__name__)

FRESH_S = 1.0  # of a tenant that has a quota
FRESH_WITHOUT_S = 5.0  # of one that has none: a new quota is obeyed after so long
PATIENCE_S = 1.0  # for the database; what is not known keeps nobody out


class KnownStandings:
    """The standings that this process knows."""

    def __init__(self, database: Database, defaults: Quotas) -> None:
        self._database = database
        self._defaults = defaults
        self._known: dict[str, Standing] = {}
        self._stale_at_s: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def may_be_bound(self, tenant: str) -> bool:
        """Whether a job of the tenant has to be weighed when it is recorded."""
        standing = self._known.get(tenant)
        return standing is None or standing.quotas.bind_jobs

    async def find(self, tenant: str) -> Standing | None:
        """How a tenant stood a moment ago; None while the database does not tell. Raises nothing."""
        if asyncio.get_running_loop().time() >= self._stale_at_s.get(tenant, 0.0):
            asking = self._asking.get(tenant) or self._ask(tenant)
            await asyncio.wait([asking], timeout=PATIENCE_S)
        return self._known.get(tenant)

    def _ask(self, tenant: str) -> asyncio.Task[None]:
        asking = asyncio.create_task(self._read(tenant))
        self._asking[tenant] = asking
        asking.add_done_callback(lambda _: self._asking.pop(tenant, None))
        return asking

    async def _read(self, tenant: str) -> None:
        fresh_s = FRESH_S
        try:
            async with self._database.reading(tenant, needed=False) as connection:
                standing = (await read_standing(connection, [tenant], self._defaults))[tenant]
        except Exception as error:  # noqa: BLE001 - whoever needs the database will say what is wrong with it
            log.warning("quotas_unknown", error=type(error).__name__)
        else:
            self._known[tenant] = standing
            fresh_s = FRESH_S if standing.quotas != Quotas() else FRESH_WITHOUT_S
        self._stale_at_s[tenant] = asyncio.get_running_loop().time() + fresh_s


# Keeps tenants within their quotas: a glance before a body is read, and the exact word in the commit of the job.
#
# In the commit, a lock of the tenant's makes all processes record its jobs one batch after the other, so that what is
# used cannot change between the reading and the commit. Tenants without quotas take no lock and ask nothing.

# In one order everywhere, so that two batches never wait for each other. The first number is "quot" in ASCII.
LOCK = """
    SELECT pg_advisory_xact_lock(x'71756f74'::int, number)
    FROM (SELECT DISTINCT hashtext(tenant) AS number FROM unnest($1::text[]) AS tenant ORDER BY 1) AS tenants
"""


class Wanted(msgspec.Struct, frozen=True):
    """A job that is about to be recorded."""

    tenant: str
    bytes: int


class QuotaGate:
    """What the use cases ask before they take a job, and when they record it."""

    def __init__(self, database: Database, defaults: Quotas) -> None:
        self.standings = KnownStandings(database, defaults)
        self.defaults = defaults

    async def glance(self, tenant: str, least_bytes: int) -> None:
        """Raise LimitError when the tenant stood so a moment ago that an upload of so many bytes is too much."""
        standing = await self.standings.find(tenant)
        if standing and (error := over_quota(standing.quotas, standing.used, least_bytes, _now())):
            raise error

    async def require(self, connection: Any, wanted: Wanted) -> None:
        """Raise LimitError unless the job fits; the connection's transaction then records it."""
        (outcome,) = await self.weigh(connection, [wanted])
        if outcome:
            raise outcome

    async def weigh(self, connection: Any, wanted: Sequence[Wanted]) -> list[LimitError | None]:
        """For each job why it is too much, or None; the connection's transaction then records the others."""
        tenants = sorted({one.tenant for one in wanted if self.standings.may_be_bound(one.tenant)})
        outcomes: list[LimitError | None] = [None] * len(wanted)
        if not tenants:
            return outcomes
        await connection.execute(LOCK, tenants)
        standings = await read_standing(connection, tenants, self.defaults)
        for tenant, standing in standings.items():
            places = [place for place, one in enumerate(wanted) if one.tenant == tenant]
            sizes = [wanted[place].bytes for place in places]
            weighed = over_quota_each(standing.quotas, standing.used, sizes, _now())
            for place, outcome in zip(places, weighed, strict=True):
                outcomes[place] = outcome
        return outcomes


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
