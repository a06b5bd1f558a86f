"""Logs an outage with two lines: one when it starts, one with its duration when it ends."""

import time
from typing import Any

from shared.telemetry.logs import Log


class Outages:
    """The outages of one dependency, or of several by name. Call `failed` and `worked` as often as you like."""

    def __init__(self, log: Log, started: str, ended: str, *, is_error: bool = False, **fields: Any) -> None:
        """`fields` are in both lines."""
        self._log = log
        self._emit = log.error if is_error else log.warning
        self._started = started
        self._ended = ended
        self._fields = fields
        self._since_s: dict[str | None, float] = {}  # dependency → monotonic time

    def forget(self) -> None:
        """Forget all outages without a line."""
        self._since_s.clear()

    def failed(self, error: BaseException | None, dependency: str | None = None, **fields: Any) -> None:
        """Log the event `started`, if no outage of the dependency is under way."""
        if dependency not in self._since_s:
            self._since_s[dependency] = time.monotonic()
            text = f"{type(error).__name__}: {error}".removesuffix(": ") if error else "unknown"
            self._emit(self._started, **self._of(dependency), **fields, error=text)

    def worked(self, *dependencies: str) -> None:
        """Log the event `ended` with `outage_s` for each outage that is under way, of one or of these dependencies."""
        for dependency in self._since_s.keys() & set(dependencies or (None,)):
            outage_s = round(time.monotonic() - self._since_s.pop(dependency), 1)
            self._log.info(self._ended, **self._of(dependency), outage_s=outage_s)

    def _of(self, dependency: str | None) -> dict[str, Any]:
        return self._fields | ({"dependency": dependency} if dependency else {})
