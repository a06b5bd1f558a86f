"""Remembers for a moment how tenants stand, so that an upload need not wait for the database to be let in.

What is remembered may be a second old: it keeps out who is surely over. What is exact is decided in the commit.
"""

import asyncio

from ingest_service.database import Database
from ingest_service.quotas.quotas import Quotas
from ingest_service.quotas.read_standing import Standing, read_standing
from shared.telemetry.logs import Log

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
