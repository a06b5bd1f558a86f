"""Shares a process's concurrent outbound requests between hosts, or tenants, so that one never takes all of them."""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

SHORTEST_WAIT_S = 0.5


class Shares:
    """One name may have as many requests in progress as there are free ones, and at most `most_each`.

    Switches share their buffers in this way (Choudhury and Hahne's dynamic threshold, 1998): one busy name gets half,
    several get equal shares, and a new name finds one free.
    """

    def __init__(
        self,
        at_once: int,
        *,
        most_each: int | None = None,
        spread_s: float = 0.0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once = at_once
        self._most_each = most_each or at_once
        self._spread_s = spread_s
        self._clock_s = clock_s
        self._started_s: defaultdict[str, list[float]] = defaultdict(list)
        self._refused: Counter[str] = Counter()  # since the name's last start, while it has requests in progress

    def wait_s(self, name: str) -> float:
        """Return how long a request must wait; 0: it may start.

        The wait is the age of the name's oldest request: short for a fast server, longer for one that hangs. Until one
        starts, each waits `spread_s` longer than the one before: thousands of one name do not return at once.
        """
        started_s = self._started_s.get(name)
        free = self._at_once - sum(map(len, self._started_s.values()))
        if not started_s or len(started_s) < min(free, self._most_each):
            return 0.0
        self._refused[name] += 1
        age_s = self._clock_s() - min(started_s)
        return max(SHORTEST_WAIT_S, age_s) + (self._refused[name] - 1) * self._spread_s

    @contextlib.contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Count a request as in progress for the length of a block."""
        started_s = self._clock_s()
        self._started_s[name].append(started_s)
        self._refused.pop(name, None)
        try:
            yield
        finally:
            self._started_s[name].remove(started_s)
            if not self._started_s[name]:
                del self._started_s[name]
                self._refused.pop(name, None)
