"""A tenant gains nothing by audio that is longer than its bytes suggest: its share is corrected.

The length is known when a task was decoded; here, when a slot has taken it.
"""

from collections import Counter

import pytest

from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.queue.fair_queue import FairQueue
from shared.schemas.states import TaskKind


class Tenants:
    """Tenants that always have tasks in the queue; for each: what a task is guessed to cost, and what it costs."""

    def __init__(self, costs_s: dict[str, tuple[int, int]], *, ahead: int, kind: TaskKind = TaskKind.PREPARE) -> None:
        self.queue = FairQueue()
        self.done_s: Counter[str] = Counter()
        self._costs_s = costs_s
        self._kind = kind
        self._tenants: dict[str, str] = {}
        for tenant in costs_s:
            self._submit(tenant, ahead)

    def _submit(self, tenant: str, count: int) -> None:
        dispatches = [Dispatch(new_id(), 1, self._kind, tenant, self._costs_s[tenant][0]) for _ in range(count)]
        self._tenants |= {one.arq_id: tenant for one in dispatches}
        self.queue.put(dispatches)

    def work(self, tasks: int) -> None:
        """Take tasks; each is replaced by another of its tenant."""
        for _ in range(tasks):
            name = self.queue.take()
            assert name is not None
            tenant = self._tenants[name]
            guessed_s, true_s = self._costs_s[tenant]
            self.queue.correct(tenant, true_s - guessed_s)
            self.queue.end(name)
            self.done_s[tenant] += true_s
            self._submit(tenant, 1)


@pytest.mark.parametrize("ahead", [1, 20, 1000])  # submitted at once, before any length is known
@pytest.mark.parametrize(("guessed_s", "true_s"), [(1, 600), (1, 1800), (300, 1800), (60, 60), (59, 60)])
def test_long_audio_in_few_bytes_gains_nothing(guessed_s: int, true_s: int, ahead: int) -> None:
    tenants = Tenants({"honest": (60, 60), "hostile": (guessed_s, true_s)}, ahead=ahead)
    tenants.work(600)

    assert abs(tenants.done_s["hostile"] - tenants.done_s["honest"]) <= 3 * 1800


@pytest.mark.parametrize("ahead", [1, 20])
def test_short_audio_in_many_bytes_keeps_its_share(ahead: int) -> None:
    """Such as stereo at 96 kHz. What waits already keeps its order; what follows goes ahead of it."""
    tenants = Tenants({"other": (60, 60), "studio": (600, 60)}, ahead=ahead)
    tenants.work(1000)
    before = tenants.done_s.copy()
    tenants.work(1000)

    gained = tenants.done_s - before
    assert gained["studio"] > 0.95 * gained["other"]


def test_a_tenant_that_turns_honest_owes_no_more_than_it_used() -> None:
    tenants = Tenants({"honest": (60, 60), "hostile": (1, 1800)}, ahead=50)
    tenants.work(400)
    before = tenants.done_s.copy()
    tenants._costs_s["hostile"] = (60, 60)
    tenants.work(2000)

    gained = tenants.done_s - before
    assert gained["hostile"] > 0.8 * gained["honest"]


def test_a_third_tenant_is_served_at_once() -> None:
    tenants = Tenants({"honest": (60, 60), "hostile": (1, 1800)}, ahead=500)
    tenants.work(20)
    late = Dispatch(new_id(), 1, TaskKind.PREPARE, "late", 60)
    tenants.queue.put([late])

    assert late.arq_id in [tenants.queue.take() for _ in range(3)]
