"""Keeps tenants within their quotas: a glance before a body is read, and the exact word in the commit of the job.

In the commit, a lock of the tenant's makes all processes record its jobs one batch after the other, so that what is
used cannot change between the reading and the commit. Tenants without quotas take no lock and ask nothing.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.errors import LimitError
from ingest_service.quotas.known_standings import KnownStandings
from ingest_service.quotas.quotas import Quotas, over_quota, over_quota_each
from ingest_service.quotas.read_standing import read_standing

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
