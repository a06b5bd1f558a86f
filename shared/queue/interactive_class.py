"""A model of the interactive class of the queue, without Redis. README.md describes it; `FairQueue` uses it."""

from collections.abc import Callable

from shared.queue.dispatch import Dispatch
from shared.queue.fair_shares import (
    BAND,
    INTERACTIVE_AHEAD_S,
    INTERACTIVE_SHARE,
    MAX_LOOKED_AT,
    MAX_SCORE,
    MIN_SCORE,
    credit_rate,
)
from shared.queue.score_set import ScoreSet
from shared.schemas.states import TaskKind


class InteractiveClass:
    """The tasks of jobs that clients wait for. Scores are virtual start times of the class, minus BAND."""

    def __init__(self, share: float = INTERACTIVE_SHARE) -> None:
        self.waiting = ScoreSet()
        self.debts: dict[str, int] = {}
        self.uses: dict[str, int] = {}  # in the virtual time of the backlog
        self.credit_s: float = INTERACTIVE_AHEAD_S
        self._rate = credit_rate(share)
        self._finish_times: dict[str, int] = {}
        self._clock: int | None = None
        self._now: int | None = None

    def forget_now(self) -> None:
        """Compute the virtual time again when it is needed."""
        self._now = None

    def score_of(self, dispatch: Dispatch, rule: str) -> int:
        """Return the score of a new dispatch by its rule, and charge its flow."""
        now, rule = self._virtual_time(), rule.removeprefix("interactive ")
        if rule == "begun":
            return now - 1 - BAND
        flow = f"{dispatch.tenant} chunks" if rule == TaskKind.CHUNK else dispatch.tenant
        start = self._finish_time_of(flow)
        self._finish_times[flow] = start + dispatch.cost_s
        return (now - 1 if rule == TaskKind.FINISH else start) - BAND

    def correct(self, tenant: str, late_s: int) -> None:
        """Postpone what its tenant submits next, and its waiting tasks when their turn comes."""
        now = self._virtual_time()
        self._finish_times[tenant] = max(now, min(MAX_SCORE, self._finish_time_of(tenant) + late_s))
        if late_s > 0:
            self.debts[tenant] = self.debts.get(tenant, 0) + late_s

    def first_within_bounds(self, now: int, owner: Callable[[str], tuple[str, int]]) -> str | None:
        """Return the task that goes before the backlog, whose virtual time is `now`.

        `owner` returns tenant and cost. A tenant that used more than its share may not go first.
        """
        for name in self.in_order():
            tenant, cost_s = owner(name)
            if self.uses.get(tenant, 0) <= now + INTERACTIVE_AHEAD_S:
                return name if self.credit_s >= min(cost_s, INTERACTIVE_AHEAD_S) else None
        return None

    def in_order(self) -> list[str]:
        """Return the first waiting tasks."""
        return sorted(self.waiting.of, key=lambda name: (self.waiting.of[name], name))[:MAX_LOOKED_AT]

    def start(self, name: str) -> None:
        """Advance the virtual time of the class to that of a task that starts."""
        self._clock = max(self._clock or 0, self.waiting.of[name] + BAND)
        self.waiting.remove(name)

    def charge(self, tenant: str, seconds: int, now: int) -> None:
        """Charge the class and a tenant for work before the backlog, whose virtual time is `now`."""
        self._set_credit(self.credit_s - seconds)
        self.uses[tenant] = min(MAX_SCORE, max(now, max(now, self.uses.get(tenant, 0)) + seconds))

    def earn(self, cost_s: int) -> None:
        """Give the class its share for a task of the backlog that starts."""
        if self.credit_s < INTERACTIVE_AHEAD_S:
            self._set_credit(self.credit_s + cost_s * self._rate)

    def remove_uses(self, now: int) -> None:
        """Remove what is within the tenants' shares."""
        self.uses = {tenant: use for tenant, use in self.uses.items() if use > now}

    def _set_credit(self, seconds: float) -> None:
        self.credit_s = min(INTERACTIVE_AHEAD_S, seconds)

    def _finish_time_of(self, flow: str) -> int:
        now = self._virtual_time()
        return min(MAX_SCORE, max(now, self._finish_times.get(flow, now)))

    def _virtual_time(self) -> int:
        if self._now is None:
            now = MIN_SCORE if self._clock is None else self._clock
            if not self.waiting.of:
                now = max(now, max(self._finish_times.values(), default=MIN_SCORE))
            if now > MAX_SCORE:
                now, self._finish_times, self.debts = MIN_SCORE, {}, {}
            self._clock = self._now = now
            self._remove_idle(now)
        return self._now

    def _remove_idle(self, now: int) -> None:
        for flow in [flow for flow, finish in self._finish_times.items() if finish <= now]:
            del self._finish_times[flow]
            self.debts.pop(flow, None)
