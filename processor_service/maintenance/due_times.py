"""When the next waiting task is due: a timer instead of polling.

Each process knows the tasks that it made wait itself. The leader also sees the earliest in the database, which covers
the tasks of processes that have ended.
"""

import asyncio
import contextlib
import heapq
import time


class DueTimes:
    """Due times on the monotonic clock. A time is computed after the database's answer, so it is never too early."""

    def __init__(self) -> None:
        self._own: list[float] = []  # a heap
        self._seen = float("inf")  # by the leader, in the database
        self._changed = asyncio.Event()

    def add(self, in_s: float) -> None:
        """Note that a task of this process is due in so many seconds."""
        heapq.heappush(self._own, time.monotonic() + in_s)
        self._changed.set()

    def see(self, in_s: float | None) -> None:
        """Replace what the leader saw: the seconds until the earliest due time, negative for a past one."""
        self._seen = float("inf") if in_s is None else time.monotonic() + in_s
        self._changed.set()

    async def reached(self) -> None:
        """Wait until a task is due, and forget the times that have passed."""
        while (left_s := self._next() - time.monotonic()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if left_s == float("inf") else left_s):
                    await self._changed.wait()
        self._forget_passed(time.monotonic())

    def _next(self) -> float:
        return min((self._seen, *self._own[:1]))

    def _forget_passed(self, now: float) -> None:
        while self._own and self._own[0] <= now:
            heapq.heappop(self._own)
        if self._seen <= now:
            self._seen = float("inf")
