"""The order of the queue, computed from the total that waits for each tenant, for estimates."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

import msgspec

from shared.queue.fair_shares import INTERACTIVE_SHARE, credit_rate

ROUNDING = 1e-6  # of a job: sums of floats may be too small by less


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one tenant. The size of a source that is not downloaded yet counts as 0 bytes."""

    tenant: str
    jobs: int
    bytes: float  # of those jobs
    chunk_bytes: float  # of waiting chunks of long files; the tenant's jobs start in between


class QueuePosition(msgspec.Struct, frozen=True):
    """The position of a queued job, from 1, and the bytes of work that start before it."""

    position: int
    bytes_ahead: float


class Backlogs:
    """What waits for all tenants, with sums so that a position costs the same however many tenants and jobs wait."""

    def __init__(self, backlogs: Iterable[Backlog] = ()) -> None:
        by_bytes = sorted(backlogs, key=lambda one: one.bytes)
        self._of = {one.tenant: one for one in by_bytes}
        self._bytes = [one.bytes for one in by_bytes]
        self._jobs_up_to = _sums(one.jobs for one in by_bytes)
        self._jobs_a_byte_up_to = _sums(one.jobs / one.bytes if one.bytes else 0.0 for one in by_bytes)
        self._totals = sorted(one.bytes + one.chunk_bytes for one in by_bytes)
        self._totals_up_to = _sums(self._totals)

    @property
    def jobs(self) -> float:
        """Return how many jobs wait."""
        return self._jobs_up_to[-1]

    @property
    def bytes(self) -> float:
        """Return the bytes of all that waits."""
        return self._totals_up_to[-1]

    def of(self, tenant: str) -> Backlog:
        """Return what waits for a tenant."""
        return self._of.get(tenant) or Backlog(tenant=tenant, jobs=0, bytes=0, chunk_bytes=0)

    def position(self, tenant: str, jobs_ahead: int, bytes_ahead: float) -> QueuePosition:
        """Return the position of a job that has this many jobs and bytes of its own tenant ahead of it.

        Until it starts, every other tenant gets as many bytes as its own, if that many wait. Fair shares start now:
        what a tenant got before does not count.
        """
        own = self.of(tenant)
        share_bytes = bytes_ahead + min(own.chunk_bytes, bytes_ahead)
        if share_bytes <= 0:
            return QueuePosition(1 + jobs_ahead, share_bytes)
        jobs = self._jobs_started(share_bytes) - own.jobs * _part_started(own.bytes, share_bytes)
        all_bytes = self._bytes_started(share_bytes) - min(own.bytes + own.chunk_bytes, share_bytes)
        return QueuePosition(1 + jobs_ahead + int(jobs + ROUNDING), share_bytes + all_bytes)

    def _jobs_started(self, share_bytes: float) -> float:
        shorter = bisect_right(self._bytes, share_bytes)
        rates = self._jobs_a_byte_up_to
        return self._jobs_up_to[shorter] + share_bytes * (rates[-1] - rates[shorter])

    def _bytes_started(self, share_bytes: float) -> float:
        shorter = bisect_right(self._totals, share_bytes)
        return self._totals_up_to[shorter] + share_bytes * (len(self._totals) - shorter)


def _sums(values: Iterable[float]) -> list[float]:
    return list(accumulate(values, initial=0.0))


def _part_started(backlog_bytes: float, share_bytes: float) -> float:
    return 1 if backlog_bytes <= share_bytes else share_bytes / backlog_bytes


class QueuedWork(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in both classes of the queue."""

    backlog: Backlogs = Backlogs()
    interactive: Backlogs = Backlogs()
    rate: float = credit_rate(INTERACTIVE_SHARE)  # interactive bytes for each of the backlog

    def position(
        self, tenant: str, jobs_ahead: int, bytes_ahead: float, *, interactive: bool, lead_bytes: float
    ) -> QueuePosition:
        """Return the position of a job that has so much of its tenant and class ahead of it.

        `lead_bytes`: what the interactive class may start before the backlog at once. Then each class gets its share.
        """
        if interactive:
            own = self.interactive.position(tenant, jobs_ahead, bytes_ahead)
            return _behind(self.backlog, (own.bytes_ahead - lead_bytes) / self.rate, own)
        own = self.backlog.position(tenant, jobs_ahead, bytes_ahead)
        return _behind(self.interactive, lead_bytes + own.bytes_ahead * self.rate, own)


def _behind(others: Backlogs, most_bytes: float, own: QueuePosition) -> QueuePosition:
    """Add what starts of the other class in the meantime."""
    if most_bytes <= 0:
        return own
    jobs = others.jobs * _part_started(others.bytes, most_bytes)
    return QueuePosition(own.position + int(jobs + ROUNDING), own.bytes_ahead + min(others.bytes, most_bytes))
