"""Keep folders transcribed: look for new and changed files, and transcribe each once it is complete.

Folders are polled, which works on every file system. A file is complete when two looks in a row find the same size and
time. A file that failed is tried again when it changes.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from deploy.command.errors import SourceError
from deploy.command.outputs import plan_bases
from deploy.command.report import Outcome
from deploy.command.sources import Source, Stat, find_sources
from deploy.command.state import State
from deploy.command.transcribe import Batch, Wanted, gathered


class Looks:
    """What the last look found, and what was taken."""

    def __init__(self) -> None:
        self._last: dict[str, Stat | None] = {}
        self._taken: dict[str, Stat | None] = {}

    def complete(self, found: Iterable[tuple[Source, Stat | None]]) -> list[Source]:
        """Return the sources that have not changed since the last look, and were not returned as they are now."""
        now = {source.id: (source, stat) for source, stat in found}
        settled = [
            source
            for source, stat in now.values()
            if (source.path is None or self._last.get(source.id) == stat)
            and (source.id not in self._taken or self._taken[source.id] != stat)
        ]
        self._last = {source_id: stat for source_id, (_, stat) in now.items()}
        self._taken = {source_id: stat for source_id, stat in self._taken.items() if source_id in now}
        self._taken |= {source.id: self._last[source.id] for source in settled}
        return settled


async def watch(batch: Batch, state: State, wanted: Wanted, inputs: Sequence[str], every_s: float) -> None:
    """Transcribe what the inputs hold, and what comes, until cancelled."""
    looks = Looks()
    running: dict[str, asyncio.Task[Outcome]] = {}
    try:
        while True:
            found = await asyncio.to_thread(_look, inputs)
            idle = [(source, stat) for source, stat in found if source.id not in running]
            bases = plan_bases([source for source, _ in found], wanted.output_dir, state)
            for source in looks.complete(idle):
                running[source.id] = asyncio.create_task(batch.transcribe(source, bases[source.id]))
            await asyncio.sleep(every_s)
            running = {source_id: task for source_id, task in running.items() if not task.done()}
    finally:
        await gathered(list(running.values()))


def _look(inputs: Sequence[str]) -> list[tuple[Source, Stat | None]]:
    found = []
    for source in find_sources(inputs):
        with suppress(SourceError):  # it was removed just now
            found.append((source, source.stat()))
    return found
