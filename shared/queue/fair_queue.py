"""A model of the queue without Redis. README.md describes the algorithm.

`FairQueue` gives every dispatch the score that fair_shares.lua gives it. `Backlogs` is the same order computed
from the total that waits for each tenant, for estimates.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec

from shared.queue.dispatch import Dispatch
from shared.queue.fair_shares import MAX_IDLE_REMOVED, MAX_SCORE, MIN_SCORE, rule_of
from shared.schemas.states import TaskKind

UNBOUNDED = MAX_SCORE * 2
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

    def position(self, tenant: str, jobs_ahead: int, bytes_ahead: float) -> QueuePosition:
        """Return the position of a job that has this many jobs and bytes of its own tenant ahead of it.

        Until it starts, every other tenant gets as many bytes as its own, if that many wait. Fair shares start now:
        what a tenant got before does not count.
        """
        own = self._of.get(tenant) or Backlog(tenant=tenant, jobs=0, bytes=0, chunk_bytes=0)
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


class _Gap:
    """A tenant's gap: its start, the seconds left, and from where the next chunk may be postponed."""

    def __init__(self, start: int, left_s: int, postpone_from: int) -> None:
        self.start = start
        self.left_s = left_s
        self.postpone_from = postpone_from


class _Scores:
    """A sorted set: the lowest score first, ties by name. Stale heap entries are skipped when they come up."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def put(self, name: str, score: int) -> None:
        self.of[name] = score
        heapq.heappush(self._heap, (score, name))

    def remove(self, name: str) -> None:
        self.of.pop(name, None)

    def lowest(self) -> tuple[int, str] | None:
        while self._heap:
            score, name = self._heap[0]
            if self.of.get(name) == score:
                return score, name
            heapq.heappop(self._heap)
        return None


class FairQueue:
    """One queue: what waits and what runs, by arq id. Nothing expires."""

    def __init__(self) -> None:
        self._all = _Scores()  # a running task keeps its score until it ends, as in arq
        self._waiting = _Scores()
        self._finish_times = _Scores()
        self._gaps: dict[str, _Gap] = {}
        self._chunks: dict[str, list[tuple[int, str, Dispatch]]] = {}
        self._clock: int | None = None
        self._now = MIN_SCORE
        self._finish_before: dict[str, int] = {}
        self._dispatches: dict[str, Dispatch] = {}
        self._debts: dict[str, int] = {}
        self._paid: dict[str, int] = {}  # of each task: the debt that its score accounts for

    @property
    def waiting(self) -> int:
        return len(self._waiting.of)

    @property
    def scores(self) -> dict[str, int]:
        """The scores of all that waits or runs."""
        return self._all.of

    def put(self, dispatches: Sequence[Dispatch]) -> None:
        """Enqueue a batch."""
        self._set_now()
        self._finish_before = {}
        for dispatch in dispatches:
            previous = dispatch.previous.arq_id if dispatch.dispatch_no > 1 else ""
            if dispatch.arq_id not in self._all.of:
                kept, debt = self._all.of.get(previous), self._debts.get(dispatch.tenant, 0)
                self._dispatches[dispatch.arq_id] = dispatch
                self._paid[dispatch.arq_id] = debt if kept is None else self._paid[previous]
                self._add(dispatch, self._start_of(dispatch) if kept is None else kept)
            self.end(previous)

    def take(self) -> str | None:
        """Return the waiting task with the lowest score, after all debts; it runs from now on."""
        while (found := self._waiting.lowest()) and found[0] <= MAX_SCORE and self._pay_debt(found[1], found[0]):
            pass
        if found is None:
            return None
        start, name = found
        self._waiting.remove(name)
        if start <= MAX_SCORE:
            self._clock = max(self._clock or 0, start)
        return name

    def correct(self, tenant: str, late_s: int) -> None:
        """Charge a tenant for more seconds than were guessed; for less, if negative."""
        self._set_now()
        self._finish_times.put(tenant, max(self._now, min(MAX_SCORE, self._finish_time_of(tenant) + late_s)))
        if late_s > 0:
            self._debts[tenant] = self._debts.get(tenant, 0) + late_s
            self._gaps.pop(tenant, None)

    def _pay_debt(self, name: str, score: int) -> bool:
        """Postpone a waiting task by what its tenant came to owe since it was scored. Return whether it did."""
        dispatch = self._dispatches[name]
        owed_s = self._debts.get(dispatch.tenant, 0) - self._paid[name]
        if owed_s <= 0:
            return False
        start = min(MAX_SCORE, score + owed_s)
        self._add(dispatch, start)
        self._paid[name] += owed_s
        chunks = self._chunks.get(dispatch.tenant, [])
        for old in [one for one in chunks if one[2] is dispatch]:
            chunks.remove(old)
            insort(chunks, (start, *old[1:]), key=lambda one: one[:2])
        return True

    def end(self, name: str) -> None:
        """Remove a task that ended, or that a newer dispatch replaced."""
        self._all.remove(name)
        self._waiting.remove(name)

    def _add(self, dispatch: Dispatch, start: int) -> None:
        self._all.put(dispatch.arq_id, start)
        self._waiting.put(dispatch.arq_id, start)

    def _set_now(self) -> None:
        head = self._all.lowest()
        now = self._clock if self._clock is not None else (head[0] if head else MIN_SCORE)
        if head is None:
            now = max(now, max(self._finish_times.of.values(), default=MIN_SCORE))
        if now > MAX_SCORE:
            now, self._finish_times, self._gaps, self._debts = MIN_SCORE, _Scores(), {}, {}
        self._clock = self._now = now
        self._remove_idle()

    def _remove_idle(self) -> None:
        for _ in range(MAX_IDLE_REMOVED):
            found = self._finish_times.lowest()
            if found is None or found[0] > self._now:
                return
            self._finish_times.remove(found[1])
            self._gaps.pop(found[1], None)
            self._debts.pop(found[1], None)
            self._chunks.pop(found[1], None)

    def _start_of(self, dispatch: Dispatch) -> int:
        rule, tenant, cost_s = rule_of(dispatch), dispatch.tenant, dispatch.cost_s
        if rule == "begun":
            return self._now - 1
        if rule == TaskKind.DELIVER:
            return self._append(tenant, cost_s)
        if rule == TaskKind.FINISH:
            self._append(tenant, cost_s)
            return self._now - 1
        if rule == TaskKind.PREPARE:
            in_gap = self._use_gap(tenant, cost_s, UNBOUNDED)
            return self._append(tenant, cost_s) if in_gap is None else in_gap
        self._finish_before.setdefault(tenant, self._finish_time_of(tenant))
        in_gap = self._use_gap(tenant, cost_s, self._finish_before[tenant])
        return self._append_chunk(tenant, dispatch) if in_gap is None else in_gap

    def _finish_time_of(self, tenant: str) -> int:
        return min(MAX_SCORE, max(self._now, self._finish_times.of.get(tenant, self._now)))

    def _append(self, tenant: str, cost_s: int) -> int:
        start = self._finish_time_of(tenant)
        self._finish_times.put(tenant, start + cost_s)
        return start

    def _append_chunk(self, tenant: str, chunk: Dispatch) -> int:
        start = self._append(tenant, chunk.cost_s)
        member = f"{chunk.cost_s} {chunk.arq_id}"
        insort(self._chunks.setdefault(tenant, []), (start, member, chunk), key=lambda one: one[:2])
        return start

    def _first_chunk(self, tenant: str, start_from: int, until: int) -> tuple[int, str, Dispatch] | None:
        chunks = self._chunks.get(tenant, [])
        at = bisect_left(chunks, (start_from, ""), key=lambda one: one[:2])
        while at < len(chunks) and chunks[at][0] < until:
            if chunks[at][2].arq_id not in self._waiting.of:
                del chunks[at]
            elif not self._pay_debt(chunks[at][2].arq_id, chunks[at][0]):
                return chunks[at]
        return None

    def _use_gap(self, tenant: str, cost_s: int, until: int) -> int | None:
        """Return a virtual start time in the tenant's gap, or None when too few chunks start before `until`."""
        now = self._now
        gap = self._gaps.get(tenant, _Gap(now, 0, now))
        start, left_s, postpone_from = max(now, gap.start), gap.left_s, max(now, gap.postpone_from)
        postponed: list[tuple[int, str, Dispatch]] = []
        next_start = start + cost_s
        while left_s < cost_s:
            found = self._first_chunk(tenant, postpone_from, until)
            if found is None:
                return None
            chunk_start, _, chunk = found
            if left_s == 0:
                start = max(start, chunk_start - max(0, chunk.cost_s - cost_s))
            left_s, postpone_from = left_s + chunk.cost_s, chunk_start + 2 * chunk.cost_s
            next_start = chunk_start + chunk.cost_s - left_s + cost_s
            postponed.append(found)
        for one in postponed:
            self._chunks[tenant].remove(one)
            self._add(one[2], self._append_chunk(tenant, one[2]))
        self._gaps[tenant] = _Gap(next_start, left_s - cost_s, postpone_from)
        return start
