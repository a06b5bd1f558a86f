"""A sorted set of the model of the queue, as in Redis."""

import heapq


class ScoreSet:
    """Names by score: the lowest first, ties by name. Stale heap entries are skipped when they come up."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def put(self, name: str, score: int) -> None:
        """Add a name, or change its score."""
        self.of[name] = score
        heapq.heappush(self._heap, (score, name))

    def remove(self, name: str) -> None:
        """Remove a name, if it is there."""
        self.of.pop(name, None)

    def lowest(self) -> tuple[int, str] | None:
        """Return the lowest score and its name; None if the set is empty."""
        while self._heap:
            score, name = self._heap[0]
            if self.of.get(name) == score:
                return score, name
            heapq.heappop(self._heap)
        return None
