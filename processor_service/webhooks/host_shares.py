"""Shares a process's deliveries between hosts, so that one that hangs never takes them all.

A host may have as many requests under way as there is room for others, as switches share their buffers (Choudhury and
Hahne's dynamic threshold, 1998): one busy host gets half, several get equal shares, and there is room for the next.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHORTEST_WAIT_S = 0.5


class Turns:
    """Who has how many requests under way, and since when."""

    def __init__(self, at_once: int, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._at_once = at_once
        self._clock_s = clock_s
        self._begun_s: defaultdict[str, list[float]] = defaultdict(list)

    def wait_s(self, host: str) -> float:
        """How long a request to the host should wait; 0: it may begin.

        A host that answers fast has room again soon. One that hangs is left alone for as long as it has hung already.
        """
        begun_s = self._begun_s.get(host)
        free = self._at_once - sum(map(len, self._begun_s.values()))
        if not begun_s or len(begun_s) < free:
            return 0.0
        return max(SHORTEST_WAIT_S, self._clock_s() - min(begun_s))

    @contextmanager
    def taken(self, host: str) -> Iterator[None]:
        """Count a request as under way."""
        begun_s = self._clock_s()
        self._begun_s[host].append(begun_s)
        try:
            yield
        finally:
            self._begun_s[host].remove(begun_s)
            if not self._begun_s[host]:
                del self._begun_s[host]
