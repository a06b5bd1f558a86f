"""Makes the partitions of the tables that grow with jobs before they are needed, and drops those that nothing needs.

A slice holds the jobs of some days: one partition of `jobs`, `tasks`, `webhook_events` and `webhook_attempts` each
(deploy/migrations/0034_slices.pre.sql). Its functions run with the rights of the tables' owner, and refuse to drop a
slice that has a job which is not erased.
"""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from shared.ids import made_at
from shared.telemetry.logs import Log

log = Log(__name__)

AHEAD = dt.timedelta(days=7)  # for so long no processor need run; later rows go to a partition of their own, and move
LONGEST_DAYS = 30
MOST_JOBS = 200_000_000  # of a slice. Each slice costs every plan some time: rather few large ones

SLICES = """
SELECT ends, greatest(c.reltuples, 0)::float AS jobs,
       to_regclass('webhook_attempts_until_' || to_char(ends, 'YYYYMMDD')) IS NOT NULL AS has_attempts
FROM slice_ends() AS ends JOIN pg_class c ON c.oid = to_regclass('jobs_until_' || to_char(ends, 'YYYYMMDD'))
ORDER BY ends
"""
FIRST_JOB = "SELECT id FROM jobs ORDER BY id LIMIT 1"
TODAY = "SELECT (now() AT TIME ZONE 'UTC')::date"
MAKE = "SELECT make_slice($1)"
DROP = "SELECT drop_slice($1, $2)"
DROP_ATTEMPTS = "SELECT drop_attempts($1)"


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A slice: `ends` is the first day (UTC) that is not part of it, `jobs` an estimate."""

    ends: dt.date
    jobs: float = 0.0
    has_attempts: bool = True


def next_end(slices: Sequence[Slice], first_day: dt.date, today: dt.date) -> dt.date | None:
    """Return the end of the slice to make now, after the last of `slices`; None: there are enough.

    `first_day` is that of the oldest job. The slice is as long as the busiest one lets expect.
    """
    last = slices[-1].ends
    if last > today + AHEAD:
        return None
    begins = [first_day, *(each.ends for each in slices)]
    spans = [(each.jobs, (min(each.ends, today) - begin).days) for begin, each in zip(begins, slices, strict=False)]
    return last + dt.timedelta(days=days_of(max(jobs / max(days, 1) for jobs, days in spans)))


def days_of(jobs_a_day: float) -> int:
    """Return the length of a slice."""
    return min(max(int(MOST_JOBS / max(jobs_a_day, 1)), 1), LONGEST_DAYS)


class SliceKeeper:
    """`run_once` of the maintenance loop: makes at most one slice, and drops at most one. `0`: tombstones are kept."""

    def __init__(self, *, tombstones_s: float, webhook_log_s: float) -> None:
        self._tombstones_s = tombstones_s
        self._webhook_log_s = webhook_log_s

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Make and drop what is due. A table that is locked for a second is left to the next run."""
        slices = [Slice(**row) for row in await connection.fetch(SLICES)]
        today: dt.date = await connection.fetchval(TODAY)
        try:
            async with connection.transaction():
                await self._make(connection, slices, today)
            async with connection.transaction():
                await self._drop(connection, slices, today)
        except asyncpg.LockNotAvailableError:
            log.info("slices_locked")

    async def _make(self, connection: asyncpg.Connection, slices: Sequence[Slice], today: dt.date) -> None:
        first: UUID | None = await connection.fetchval(FIRST_JOB)
        first_day = made_at(first).date() if first else today
        if ends := next_end(slices, first_day, today):
            await connection.execute(MAKE, ends)
            log.info("slice_made", ends=ends.isoformat())

    async def _drop(self, connection: asyncpg.Connection, slices: Sequence[Slice], today: dt.date) -> None:
        kept_since = today - dt.timedelta(seconds=self._webhook_log_s)
        unneeded = [each.ends for each in slices if each.has_attempts and each.ends <= kept_since]
        if unneeded:
            await connection.execute(DROP_ATTEMPTS, unneeded[0])
        oldest = slices[0].ends
        if self._tombstones_s and await connection.fetchval(DROP, oldest, self._tombstones_s):
            log.info("slice_dropped", ends=oldest.isoformat())
