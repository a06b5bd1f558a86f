"""The order to stop. Once given, a process that does not come to its end is ended, with its stacks in the log."""

import asyncio
import faulthandler
import os

from shared.telemetry.logs import Log

log = Log(__name__)

LAST_RESORT_S = 10.0  # on top of two grace periods, to drain and to conclude: a stop that takes longer hangs


class StopOrder(asyncio.Event):
    """Set by a signal, or when a main loop has ended by itself."""

    def __init__(self, *, grace_s: float) -> None:
        super().__init__()
        self._within_s = 2 * grace_s + LAST_RESORT_S

    def set(self) -> None:
        """Give the order; again changes nothing."""
        if not self.is_set():
            super().set()
            asyncio.get_running_loop().call_later(self._within_s, _leave)


def _leave() -> None:
    """Leases run out, and whoever is left takes over."""
    log.error("stop_took_too_long", tasks=[task.get_name() for task in asyncio.all_tasks()])
    faulthandler.dump_traceback()
    os._exit(1)
