"""The queue of shared/queue/fair_shares.py without Redis, for the simulation: the same places for the same dispatches.

Redis does it in Lua; a test rings the same tasks there and here and compares every score. Nothing expires here.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Sequence

from shared.queue.dispatch import Dispatch
from shared.queue.fair_shares import FIRST_TAG, FORGET_AT_ONCE, LAST_TAG, way_of
from shared.schemas.states import TaskKind

NO_BOUND = LAST_TAG * 2


class _Room:
    """What chunks gave up for others: where it starts, how much is left, from where on the next may be asked."""

    def __init__(self, start: int, left: int, start_from: int) -> None:
        self.start = start
        self.left = left
        self.start_from = start_from


class _Scores:
    """A sorted set: the lowest first, ties by name. What was moved or removed leaves its heap when it comes up."""

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
    """What waits, what runs, and in whose turn the next is taken. Names are arq's ids."""

    def __init__(self) -> None:
        self._all = _Scores()  # what runs stays until it has ended, as arq leaves it
        self._waiting = _Scores()
        self._tails = _Scores()
        self._rooms: dict[str, _Room] = {}
        self._lines: dict[str, list[tuple[int, str, Dispatch]]] = {}
        self._clock: int | None = None
        self._now = FIRST_TAG
        self._before: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiting.of)

    @property
    def scores(self) -> dict[str, int]:
        """Of all that waits or runs."""
        return self._all.of

    def put(self, dispatches: Sequence[Dispatch]) -> None:
        """Ring once for all of them."""
        self._set_now()
        self._before = {}
        for dispatch in dispatches:
            previous = dispatch.previous.arq_id if dispatch.dispatch_no > 1 else ""
            if dispatch.arq_id not in self._all.of:
                kept = self._all.of.get(previous)
                self._place(dispatch, self._tag_for(dispatch) if kept is None else kept)
            self.end(previous)

    def take(self) -> str | None:
        """The waiting task whose turn it is; it runs from now on."""
        if (found := self._waiting.lowest()) is None:
            return None
        tag, name = found
        self._waiting.remove(name)
        if tag <= LAST_TAG:
            self._clock = max(self._clock or 0, tag)
        return name

    def end(self, name: str) -> None:
        """It has ended, or was given up."""
        self._all.remove(name)
        self._waiting.remove(name)

    def _place(self, dispatch: Dispatch, tag: int) -> None:
        self._all.put(dispatch.arq_id, tag)
        self._waiting.put(dispatch.arq_id, tag)

    def _set_now(self) -> None:
        head = self._all.lowest()
        now = self._clock if self._clock is not None else (head[0] if head else FIRST_TAG)
        if head is None:
            now = max(now, max(self._tails.of.values(), default=FIRST_TAG))
        if now > LAST_TAG:
            now, self._tails, self._rooms = FIRST_TAG, _Scores(), {}
        self._clock = self._now = now
        self._forget_idle()

    def _forget_idle(self) -> None:
        for _ in range(FORGET_AT_ONCE):
            found = self._tails.lowest()
            if found is None or found[0] > self._now:
                return
            self._tails.remove(found[1])
            self._rooms.pop(found[1], None)
            self._lines.pop(found[1], None)

    def _tag_for(self, dispatch: Dispatch) -> int:
        way, tenant, cost = way_of(dispatch), dispatch.tenant, dispatch.cost_s
        if way == "begun":
            return self._now - 1
        if way == TaskKind.DELIVER:
            return self._append(tenant, cost)
        if way == TaskKind.FINISH:
            self._append(tenant, cost)
            return self._now - 1
        if way == TaskKind.PREPARE:
            between = self._go_between(tenant, cost, NO_BOUND)
            return self._append(tenant, cost) if between is None else between
        self._before.setdefault(tenant, self._tail_of(tenant))
        between = self._go_between(tenant, cost, self._before[tenant])
        return self._append_chunk(tenant, dispatch) if between is None else between

    def _tail_of(self, tenant: str) -> int:
        return min(LAST_TAG, max(self._now, self._tails.of.get(tenant, self._now)))

    def _append(self, tenant: str, cost: int) -> int:
        tag = self._tail_of(tenant)
        self._tails.put(tenant, tag + cost)
        return tag

    def _append_chunk(self, tenant: str, chunk: Dispatch) -> int:
        tag = self._append(tenant, chunk.cost_s)
        insort(self._lines.setdefault(tenant, []), (tag, _member(chunk), chunk), key=lambda one: one[:2])
        return tag

    def _first_chunk(self, tenant: str, start_from: int, until: int) -> tuple[int, str, Dispatch] | None:
        line = self._lines.get(tenant, [])
        at = bisect_left(line, (start_from, ""), key=lambda one: one[:2])
        while at < len(line) and line[at][0] < until:
            if line[at][2].arq_id in self._waiting.of:
                return line[at]
            del line[at]
        return None

    def _go_between(self, tenant: str, cost: int, until: int) -> int | None:
        """A place among the tenant's waiting chunks, or None when they are too few; `until` is exclusive."""
        now = self._now
        room = self._rooms.get(tenant, _Room(now, 0, now))
        start, left, start_from = max(now, room.start), room.left, max(now, room.start_from)
        leaving: list[tuple[int, str, Dispatch]] = []
        next_start = start + cost
        while left < cost:
            found = self._first_chunk(tenant, start_from, until)
            if found is None:
                return None
            tag, _, chunk = found
            if left == 0:
                start = max(start, tag - max(0, chunk.cost_s - cost))
            left, start_from = left + chunk.cost_s, tag + 2 * chunk.cost_s
            next_start = tag + chunk.cost_s - left + cost
            leaving.append(found)
        for one in leaving:
            self._lines[tenant].remove(one)
            self._place(one[2], self._append_chunk(tenant, one[2]))
        self._rooms[tenant] = _Room(next_start, left - cost, start_from)
        return start


def _member(chunk: Dispatch) -> str:
    return f"{chunk.cost_s} {chunk.arq_id}"
