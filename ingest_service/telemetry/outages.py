"""Log an outage of a dependency twice: when it begins, and when it ends with its duration."""

import time

from shared.telemetry.logs import Log

log = Log(__name__)


class OutageLog:
    """The outages that this process knows of."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}  # dependency → monotonic time

    def forget(self) -> None:
        """Forget all outages when the application starts."""
        self._since_s.clear()

    def began(self, dependency: str, error: BaseException | None) -> None:
        """Log the first error of an outage. Further errors of the same outage are not logged."""
        if dependency not in self._since_s:
            self._since_s[dependency] = time.monotonic()
            log.error("dependency_unavailable", dependency=dependency, error=_text(error))

    def ended(self, *dependencies: str) -> None:
        """Log the end of each outage among the dependencies."""
        for dependency in self._since_s.keys() & set(dependencies):
            lasted_s = time.monotonic() - self._since_s.pop(dependency)
            log.info("dependency_available", dependency=dependency, unavailable_s=round(lasted_s, 1))


def _text(error: BaseException | None) -> str:
    return "unknown" if error is None else str(error) or type(error).__name__


OUTAGES = OutageLog()
