"""Elects the processor that runs the maintenance loops, and looks with one statement for what they have to do.

The leader holds a lease in the database, which its look renews. A leader that ends without giving it up is replaced
when the lease expires. Correctness does not depend on it: each run has an advisory lock, and each write is fenced.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg

from processor_service.maintenance.due_times import DueTimes
from processor_service.maintenance.reconcile import RECENT_S
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

LEASE_S = 6.0  # added to the wait of the next leader; rescuing a task waits for that task's lease anyway
LOOK_EVERY_S = 1.0
CANDIDATE_EVERY_S = 3.0
LOOK_TIMEOUT_S = 4.0

# A candidate only reads while another processor leads.
LED = """
led AS (
    INSERT INTO maintenance_leaders AS leader (name, shard, holder, expires_at)
    SELECT $1, $2, $3, now() + make_interval(secs => $4) WHERE NOT EXISTS (
        SELECT FROM maintenance_leaders WHERE name = $1 AND shard = $2 AND holder <> $3 AND expires_at > now())
    ON CONFLICT (name, shard) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE leader.holder = excluded.holder OR leader.expires_at <= now()
    RETURNING 1
)
"""
LEAD = f"WITH {LED} SELECT EXISTS (SELECT FROM led)"  # noqa: S608 - constants
RESIGN = "DELETE FROM maintenance_leaders WHERE holder = $1"

# Only the leader evaluates more than `erase`, which several processors do at once. Each minimum is the first entry of
# an index; EXISTS might scan a table that has no such row. The dead letters are few.
LOOK = f"""
WITH {LED}
SELECT leads,
    coalesce((SELECT min(erased_at) FROM jobs WHERE blobs_erased_at IS NULL AND erased_at IS NOT NULL)
        < now() - make_interval(secs => $6), false)
    OR $7 > 0 AND coalesce((SELECT min(completed_at) FROM jobs WHERE erased_at IS NULL)
        < now() - make_interval(secs => $7), false) AS erase,
    CASE WHEN leads THEN
        extract(epoch FROM (SELECT min(not_before) FROM tasks WHERE state = 'waiting') - now())::float8 END AS due_in_s,
    leads AND (SELECT min(lease_expires_at) FROM tasks WHERE state = 'running') < now() AS rescue,
    leads AND (SELECT min(dispatched_at) FROM tasks WHERE state = 'dispatched')
        < now() - make_interval(secs => $5) AS reconcile,
    leads AND EXISTS (SELECT FROM webhook_tests WHERE attempted_at IS NULL) AS webhook_tests,
    leads AND (SELECT min(due_at) FROM result_writes WHERE due_at IS NOT NULL) <= now() AS result_writes,
    CASE WHEN leads THEN
        (SELECT ROW(count(*), max(finished_at))::text FROM tasks WHERE state = 'dead' AND dismissed_at IS NULL)
    END AS dead_letters
FROM (SELECT EXISTS (SELECT FROM led) AS leads) AS leadership
"""  # noqa: S608 - constants

ASKED = ("rescue", "reconcile", "webhook_tests", "result_writes", "dead_letters", "erase")
NOTHING_SEEN: Mapping[str, Any] = dict.fromkeys(ASKED)

Turn = Callable[[], Awaitable[None]]  # returns when a loop has to run


class Lease:
    """The lease of one name and shard, for one process."""

    def __init__(self, pool: asyncpg.Pool, holder: str, name: str, shard: int = 0) -> None:
        """`holder` must be unique to the process."""
        self._pool = pool
        self.parameters = name, shard, holder, LEASE_S

    async def lead(self) -> bool:
        """Take or renew the lease. Return whether this process leads for the next LEASE_S."""
        return bool(await self._pool.fetchval(LEAD, *self.parameters))

    async def resign(self) -> None:
        """Let another process lead at once."""
        await self._pool.execute(RESIGN, self.parameters[2])


class Leader:
    """Runs in every processor. The loops of the one that leads get their turns."""

    def __init__(self, pool: asyncpg.Pool, holder: str, due: DueTimes, *, settled_s: float, jobs_kept_s: float) -> None:
        """`holder` must be unique to the process. The blobs of erased jobs are deleted after `settled_s`."""
        self._pool = pool
        self._lease = Lease(pool, holder, "maintenance")
        self._bounds = RECENT_S, settled_s, jobs_kept_s
        self._due = due
        self._asked: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._before: Mapping[str, Any] = NOTHING_SEEN
        self.leading = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        outages = Outages(log, "look_failed", "look_recovered")
        while True:
            try:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    await self.look()
            except Exception as error:  # noqa: BLE001 - the next look follows
                self.leading.clear()
                outages.failed(error)
            else:
                outages.worked()
            await asyncio.sleep(LOOK_EVERY_S if self.leading.is_set() else CANDIDATE_EVERY_S)

    async def look(self) -> None:
        """Take or renew the lease, and give turns to the loops that have work."""
        row = await self._pool.fetchrow(LOOK, *self._lease.parameters, *self._bounds)
        if row["leads"] and not self.leading.is_set():
            log.info("maintenance_led")
            self.leading.set()
        elif not row["leads"]:
            self.leading.clear()
        self._due.see(row["due_in_s"])
        for name in asked_by(row, self._before):
            self.ask(name)
        self._before = row

    async def resign(self) -> None:
        """Let another processor lead at once. Failures are ignored: the lease expires."""
        if self.leading.is_set():
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._lease.resign()

    def ask(self, name: str) -> None:
        """Give a loop a turn."""
        self._asked[name].set()

    def every(self, seconds: float) -> Turn:
        """Return the turns of a loop: one at once, then one after each pause, while this process leads."""
        paused_s = 0.0

        async def turn() -> None:
            nonlocal paused_s
            await asyncio.sleep(paused_s)
            await self.leading.wait()
            paused_s = seconds

        return turn

    def asked(self, name: str, *, pause_s: float = 0.0, idle_s: float | None = None) -> Turn:
        """Return the turns of a loop for which `ask` is called; of the leader, also one after each `idle_s`."""
        event, paused_s = self._asked[name], 0.0

        async def turn() -> None:
            nonlocal paused_s
            await asyncio.sleep(paused_s)
            await self._asked_or_idle(event, idle_s)
            event.clear()
            paused_s = pause_s

        return turn

    async def _asked_or_idle(self, event: asyncio.Event, idle_s: float | None) -> None:
        while not event.is_set():
            try:
                async with asyncio.timeout(idle_s):
                    await event.wait()
            except TimeoutError:
                if self.leading.is_set():
                    return


def asked_by(row: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Return the loops that have work, by what a look finds and the look before it found."""
    work = {name: row[name] for name in ASKED}
    work["rescue"] = row["rescue"] or before["rescue"]  # a lease must be expired in two consecutive runs
    work["dead_letters"] = row["leads"] and row["dead_letters"] != before["dead_letters"]
    return [name for name in ASKED if work[name]]
