"""A model of the queue without Redis: it gives every dispatch the score that fair_shares.lua gives it.

README.md describes the algorithm.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

from shared.queue.dispatch import Dispatch, charged_s
from shared.queue.fair_shares import (
    BAND,
    INTERACTIVE_SHARE,
    MAX_IDLE_REMOVED,
    MAX_SCORE,
    MIN_SCORE,
    is_interactive,
    rule_of,
)
from shared.queue.interactive_class import InteractiveClass
from shared.queue.score_set import ScoreSet
from shared.schemas.states import TaskKind

UNBOUNDED = MAX_SCORE * 2


class _Gap:
    """A tenant's gap: its start, the seconds left, and from where the next chunk may be postponed."""

    def __init__(self, start: int, left_s: int, postpone_from: int) -> None:
        self.start = start
        self.left_s = left_s
        self.postpone_from = postpone_from


class FairQueue:
    """One queue: what waits, by arq id. Nothing expires. Without a prefix, names mean the backlog."""

    def __init__(self, share: float = INTERACTIVE_SHARE) -> None:
        """`share` of the work goes to the interactive class while other tasks wait."""
        self._interactive = InteractiveClass(share)
        self._waiting = ScoreSet()
        self._finish_times = ScoreSet()
        self._gaps: dict[str, _Gap] = {}
        self._chunks: dict[str, list[tuple[int, str, Dispatch]]] = {}
        self._clock: int | None = None
        self._now = MIN_SCORE
        self._finish_before: dict[str, int] = {}
        self._dispatches: dict[str, Dispatch] = {}
        self._debts: dict[str, int] = {}
        self._paid: dict[str, int] = {}  # of each task: the debt that its score accounts for
        self._taken: set[str] = set()

    @property
    def waiting(self) -> int:
        return len(self._waiting.of) + len(self._interactive.waiting.of)

    @property
    def scores(self) -> dict[str, int]:
        """The scores of all that waits."""
        return self._waiting.of | self._interactive.waiting.of

    def put(self, dispatches: Sequence[Dispatch]) -> None:
        """Enqueue a batch."""
        self._set_now()
        self._interactive.forget_now()
        self._finish_before = {}
        for dispatch in dispatches:
            previous = dispatch.previous.arq_id if dispatch.dispatch_no > 1 else ""
            if self._score_of(dispatch.arq_id) is None:
                kept = self._score_of(previous)
                self._dispatches[dispatch.arq_id] = dispatch
                score = self._start_of(dispatch, previous) if kept is None else kept
                debt = self._debts_of(score).get(dispatch.tenant, 0)
                self._paid[dispatch.arq_id] = debt if kept is None else self._paid[previous]
                self._add(dispatch, score)
            self.end(previous)

    def take(self) -> str | None:
        """Remove the next task, after all debts, and return it."""
        name = self._take()
        if name is not None:
            self._taken.add(name)
        return name

    def _take(self) -> str | None:
        other = self._first_of_backlog()
        if name := self._next_interactive(others_wait=other is not None):
            self._interactive.start(name)
            tenant, cost_s = self._charge_of(name)
            if other is not None and cost_s:
                self._charge_interactive(tenant, cost_s)
            return name
        if other is None:
            return None
        start, name = other
        self._waiting.remove(name)
        if start <= MAX_SCORE:
            self._clock = max(self._clock or 0, start)
            self._interactive.earn(self._charge_of(name)[1])
        return name

    def _first_of_backlog(self) -> tuple[int, str] | None:
        while (found := self._waiting.lowest()) and found[0] <= MAX_SCORE and self._pay_debt(found[1], found[0]):
            pass
        return found

    def _next_interactive(self, *, others_wait: bool) -> str | None:
        """Return the interactive task that goes next, or None if there is none or the backlog goes first."""
        for name in self._interactive.in_order():
            self._pay_debt(name, self._interactive.waiting.of[name])
        if others_wait:
            return self._interactive.first_within_bounds(self._clock or MIN_SCORE, self._charge_of)
        return next(iter(self._interactive.in_order()), None)

    def _charge_of(self, name: str) -> tuple[str, int]:
        dispatch = self._dispatches[name]
        return dispatch.tenant, charged_s(dispatch)

    def _charge_interactive(self, tenant: str, seconds: int) -> None:
        now = self._clock or MIN_SCORE
        self._interactive.charge(tenant, seconds, now)
        finish = max(now, self._finish_times.of.get(tenant, now))
        self._finish_times.put(tenant, min(MAX_SCORE, max(now, finish + seconds)))
        if finish > now and seconds > 0:
            self._debts[tenant] = self._debts.get(tenant, 0) + seconds
            self._gaps.pop(tenant, None)

    def correct(self, tenant: str, late_s: int, *, interactive: bool = False) -> None:
        """Charge a tenant for more seconds than were guessed; for less, if negative."""
        self._set_now()
        if interactive:
            self._interactive.forget_now()
            self._interactive.correct(tenant, late_s)
            if self._waiting.of:
                self._charge_interactive(tenant, late_s)
            return
        self._finish_times.put(tenant, max(self._now, min(MAX_SCORE, self._finish_time_of(tenant) + late_s)))
        if late_s > 0:
            self._debts[tenant] = self._debts.get(tenant, 0) + late_s
            self._gaps.pop(tenant, None)

    def _pay_debt(self, name: str, score: int) -> bool:
        """Postpone a waiting task by what its tenant came to owe since it was scored. Return whether it did."""
        dispatch = self._dispatches[name]
        owed_s = self._debts_of(score).get(dispatch.tenant, 0) - self._paid[name]
        if owed_s <= 0:
            return False
        start = min(MAX_SCORE if score >= 0 else MAX_SCORE - BAND, score + owed_s)
        self._add(dispatch, start)
        self._paid[name] += owed_s
        chunks = self._chunks.get(dispatch.tenant, [])
        for old in [one for one in chunks if one[2] is dispatch]:
            chunks.remove(old)
            insort(chunks, (start, *old[1:]), key=lambda one: one[:2])
        return True

    def end(self, name: str) -> None:
        """Forget a task that ended, or that a newer dispatch replaced."""
        self._waiting.remove(name)
        self._interactive.waiting.remove(name)
        self._taken.discard(name)

    def _add(self, dispatch: Dispatch, score: int) -> None:
        waiting = self._interactive.waiting if score < 0 else self._waiting
        waiting.put(dispatch.arq_id, score)

    def _score_of(self, name: str) -> int | None:
        score = self._waiting.of.get(name)
        return self._interactive.waiting.of.get(name) if score is None else score

    def _debts_of(self, score: int) -> dict[str, int]:
        return self._interactive.debts if score < 0 else self._debts

    def _set_now(self) -> None:
        head = self._waiting.lowest()
        now = self._clock if self._clock is not None else (head[0] if head else MIN_SCORE)
        if head is None:
            now = max(now, max(self._finish_times.of.values(), default=MIN_SCORE))
        if now > MAX_SCORE:
            now, self._finish_times, self._gaps, self._debts = MIN_SCORE, ScoreSet(), {}, {}
            self._interactive.uses = {}
        self._clock = self._now = now
        self._interactive.remove_uses(now)
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

    def _rule_after(self, previous: str, dispatch: Dispatch) -> str:
        """A task that was taken and not claimed has waited already."""
        rule = rule_of(dispatch)
        if rule == TaskKind.DELIVER or previous not in self._taken:
            return rule
        return "interactive begun" if is_interactive(dispatch) else "begun"

    def _start_of(self, dispatch: Dispatch, previous: str) -> int:
        rule, tenant, cost_s = self._rule_after(previous, dispatch), dispatch.tenant, dispatch.cost_s
        if is_interactive(dispatch):
            return self._interactive.score_of(dispatch, rule)
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
