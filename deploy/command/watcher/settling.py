"""Decide which files are complete: those that have not changed for a while. Pure."""

from collections.abc import Iterable

from deploy.command.watcher.places import Entry


class Settling:
    """What the scans have found so far. Times are of a monotonic clock."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._since: dict[str, tuple[Entry, float]] = {}
        self._ended: dict[str, Entry] = {}

    def ready(self, found: Iterable[Entry], now_s: float, busy: Iterable[str]) -> list[Entry]:
        """Return the files that are complete, in no work, and not ended as they are now."""
        now = {each.path: each for each in found}
        self._ended = {path: entry for path, entry in self._ended.items() if path in now}
        self._since = {path: self._seen(entry, now_s) for path, entry in now.items()}
        resting = set(busy)
        return [
            entry
            for path, (entry, since_s) in self._since.items()
            if now_s - since_s >= self._settle_s and path not in resting and self._ended.get(path) != entry
        ]

    def end(self, entry: Entry) -> None:
        """The work on the file, as it was then, has ended."""
        self._ended[entry.path] = entry

    @property
    def is_idle(self) -> bool:
        """Whether the last scan found nothing that has not ended."""
        return all(self._ended.get(path) == entry for path, (entry, _) in self._since.items())

    def _seen(self, entry: Entry, now_s: float) -> tuple[Entry, float]:
        before = self._since.get(entry.path)
        return before if before is not None and before[0] == entry else (entry, now_s)
