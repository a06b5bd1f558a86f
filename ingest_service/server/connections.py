"""Bounds the connections of one process: together and by address. Above a bound the newest is refused.

A refused connection is answered with 503 after its request head, so that health checks still get their answer. A few
for each address may wait for that; further ones are closed at once.
"""

import resource
from collections import Counter

from shared.telemetry.logs import Log

log = Log(__name__)

HEALTH_PATH = b"/health/"
RESERVED_FILES = 256  # for stored audio, Postgres, Redis and refused connections
SURPLUS_OF_ADDRESS = 16
SURPLUS = 128
LOG_EVERY = 1000  # refusals between two log lines


class Connections:
    """The open connections of a process."""

    def __init__(self, max_open: int = 16_384, max_of_address: int = 12_288) -> None:
        self._max_open = max_open
        self._max_of_address = max_of_address
        self._open = 0
        self._of_address: Counter[str] = Counter()
        self._refused = 0

    def add(self, address: str) -> bool:
        """Count a new connection. Return whether it is within the bounds. Always call `remove` later."""
        self._open += 1
        self._of_address[address] += 1
        return self._open <= self._max_open and self._of_address[address] <= self._max_of_address

    def has_room_for_health_checks(self, address: str) -> bool:
        """Whether a connection above a bound may send a request head."""
        surplus = max(self._open - self._max_open, 0), self._of_address[address] - self._max_of_address
        return surplus[0] <= SURPLUS and surplus[1] <= SURPLUS_OF_ADDRESS

    def remove(self, address: str) -> None:
        """Count a connection that is closed."""
        self._open -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def log_refusal(self, address: str) -> None:
        """Log the first refusal, and every thousandth."""
        if self._refused % LOG_EVERY == 0:
            log.warning("connections_refused", address=address, open=self._open, refused=self._refused + 1)
        self._refused += 1


def allowed_connections(wanted: int) -> int:
    """Return the bound, or what the limit of open files leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - RESERVED_FILES))
