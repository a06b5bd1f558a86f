"""Shares a process's concurrent deliveries between hosts, so that a slow host never takes all of them.

A host may have as many requests in progress as there are free ones, as switches share their buffers (Choudhury and
Hahne's dynamic threshold, 1998): one busy host gets half, several get equal shares, and a new host finds one free.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHORTEST_WAIT_S = 0.5


class HostShares:
    """The requests in progress of each host, by their start times."""

    def __init__(self, at_once: int, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._at_once = at_once
        self._clock_s = clock_s
        self._started_s: defaultdict[str, list[float]] = defaultdict(list)

    def wait_s(self, host: str) -> float:
        """Return how long a request to the host must wait; 0: it may start.

        The wait is the age of the host's oldest request: short for a fast host, longer for one that hangs.
        """
        started_s = self._started_s.get(host)
        free = self._at_once - sum(map(len, self._started_s.values()))
        if not started_s or len(started_s) < free:
            return 0.0
        return max(SHORTEST_WAIT_S, self._clock_s() - min(started_s))

    @contextmanager
    def counted(self, host: str) -> Iterator[None]:
        """Count a request as in progress for the length of a block."""
        started_s = self._clock_s()
        self._started_s[host].append(started_s)
        try:
            yield
        finally:
            self._started_s[host].remove(started_s)
            if not self._started_s[host]:
                del self._started_s[host]
