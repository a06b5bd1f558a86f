"""Takes the first step of something awaitable at once: what need not wait is over then, and nobody has to watch it.

Worth its lines: a time-out around each message of a body costs 45 µs of CPU an upload, and most are there already.
"""

from collections.abc import Awaitable, Generator
from typing import Any

Steps = Generator[Any, Any, Any]


class Begun:
    """What is left of an awaitable that waits for something; to be awaited once, by the task that began it."""

    def __init__(self, steps: Steps, waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Steps:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    came = yield waits_for
                except BaseException as error:  # noqa: BLE001 - cancelled, for one: that is the awaitable's to know
                    waits_for = self._steps.throw(error)
                else:
                    waits_for = self._steps.send(came)
        except StopIteration as end:
            return end.value


def begin(awaitable: Awaitable[Any]) -> tuple[bool, Any]:
    """True and its result, when it did not wait; else False and what to await instead. Raises what it raises."""
    steps: Any = awaitable.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as end:
        return True, end.value
    return False, Begun(steps, waits_for)
