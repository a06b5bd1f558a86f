"""The slots of a processor for one kind of work, which its workers, one for each Redis, share.

A worker that knows of waiting tasks asks for slots. Jobs that clients wait for go first, in whichever Redis. The
other free slots are shared out so that each tenant with tasks gets the same number, to within one for each Redis.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple


class Demand(NamedTuple):
    """What waits in a Redis, in the first of the worker's queues that has tasks."""

    queue: int = 0  # its position: earlier queues go first
    interactive: int = 0  # tasks of jobs that clients wait for
    tenants: int = 1  # with tasks


Look = Callable[[], Awaitable[Demand]]


class SharedSlots:
    """Slots that are lent until they are given back."""

    def __init__(self, count: int) -> None:
        self.free = count
        self._wanted: dict[str, tuple[Look, asyncio.Future[int]]] = {}
        self._served: dict[str, float] = {}  # by Redis: the virtual time up to which it was served, as in a fair queue
        self._now = 0.0  # the virtual time of the last slot
        self._weights: dict[str, int] = {}
        self._sharing: asyncio.Task[None] | None = None

    async def reserve(self, name: str, look: Look) -> int:
        """Wait for slots of the Redis `name`, and return how many it gets. The caller uses them or gives them back.

        `look` is called when another Redis wants slots, too.
        """
        self._served[name] = max(self._now, self._served.get(name, 0.0))
        if self.free and not self._wanted:
            return self._lend(name, self.free)
        granted = asyncio.get_running_loop().create_future()
        self._wanted[name] = look, granted
        self._share_out_soon()
        try:
            count: int = await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.give_back(granted.result())
            raise
        finally:
            self._wanted.pop(name, None)
        return count

    def use(self, name: str, count: int) -> None:
        """Charge a Redis for slots that its tasks use."""
        if count:
            self._now = max(self._now, self._served[name])
            self._served[name] += count / self._weights.get(name, 1)

    def give_back(self, count: int) -> None:
        """Return slots that are free again."""
        self.free += count
        self._share_out_soon()

    def _lend(self, name: str, count: int) -> int:
        self.free -= count
        self._weights.setdefault(name, 1)
        return count

    def _share_out_soon(self) -> None:
        if self.free and self._wanted and (self._sharing is None or self._sharing.done()):
            self._sharing = asyncio.create_task(self._share_out())

    async def _share_out(self) -> None:
        while self.free and self._wanted:
            demands = await self._look()
            wanted = {name: demand for name, demand in demands.items() if name in self._wanted}
            for name, count in shares(self.free, wanted, self._served).items():
                self._weights[name] = max(1, wanted[name].tenants)
                _, granted = self._wanted.pop(name)
                if not granted.done():
                    granted.set_result(self._lend(name, count))

    async def _look(self) -> Mapping[str, Demand]:
        names = list(self._wanted)
        if len(names) == 1:
            return {names[0]: Demand()}
        found = await asyncio.gather(*(self._wanted[name][0]() for name in names))
        return dict(zip(names, found, strict=True))


def shares(free: int, demands: Mapping[str, Demand], served: Mapping[str, float]) -> dict[str, int]:
    """Return how many free slots each Redis gets: first for interactive tasks, then by what was served before."""
    ahead = {name: served.get(name, 0.0) for name in demands}
    counts = dict.fromkeys(demands, 0)
    for _ in range(free if demands else 0):
        name = min(ahead, key=lambda each: _order(demands[each], counts[each], ahead[each]))
        counts[name] += 1
        ahead[name] += 1 / max(1, demands[name].tenants)
    return {name: count for name, count in counts.items() if count}


def _order(demand: Demand, count: int, ahead: float) -> tuple[int, bool, float]:
    return demand.queue, count >= demand.interactive, ahead
