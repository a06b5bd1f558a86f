"""Logs an outage with two lines: one when it starts, one with its duration when it ends."""

import time
from typing import Any

from shared.telemetry.logs import Log


class OutageReporter:
    """The outages of one dependency in one place. Call `failed` and `worked` as often as you like."""

    def __init__(self, log: Log, started: str, ended: str) -> None:
        self._log = log
        self._started = started
        self._ended = ended
        self._since_s: float | None = None

    def failed(self, **fields: Any) -> None:
        """Log the event `started` with these fields, if no outage is under way."""
        if self._since_s is None:
            self._since_s = time.monotonic()
            self._log.warning(self._started, **fields)

    def worked(self) -> None:
        """Log the event `ended` with `outage_s`, if an outage is under way."""
        if self._since_s is not None:
            self._log.info(self._ended, outage_s=round(time.monotonic() - self._since_s, 1))
            self._since_s = None
