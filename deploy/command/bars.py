"""The report on a terminal: a bar for each file in progress, and one for all."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from deploy.command.report import MEGABYTE, Outcome, describe, describe_state
from deploy.command.sources import Source, printable
from shared.schemas.api import JobEvent, JobView

MARKS = {"done": "green", "skipped": "dim", "failed": "red", "cancelled": "yellow"}
NAME_COLUMNS = 32


class Bars:
    """Bars of rich. File names are no markup."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._all = progress.add_task("", total=None, visible=False, step="")

    def expect(self, count: int) -> None:
        self._progress.update(self._all, total=count, visible=count > 1, description="all", step="files")

    def sent(self, source: Source, done_bytes: int, all_bytes: int) -> None:
        step = f"uploading {done_bytes / MEGABYTE:.1f} of {all_bytes / MEGABYTE:.1f} MB"
        self._update(source, done_bytes / max(all_bytes, 1), step)

    def changed(self, source: Source, state: JobEvent | JobView) -> None:
        self._update(source, state.progress, describe_state(state))

    def ended(self, source: Source, outcome: Outcome) -> None:
        task = self._tasks.pop(source.id, None)
        if task is not None:
            self._progress.remove_task(task)
        self._progress.console.print(Text(printable(describe(outcome)), style=MARKS[outcome.status]))
        self._progress.advance(self._all)

    def note(self, text: str) -> None:
        self._progress.console.print(Text(printable(text), style="dim"))

    def _update(self, source: Source, share: float, step: str) -> None:
        if source.id not in self._tasks:
            self._tasks[source.id] = self._progress.add_task(_short(source.name), total=1.0, step=step)
        self._progress.update(self._tasks[source.id], completed=share, step=step)


def _short(name: str) -> str:
    """Return the end of a name that is too long for its column."""
    return name if len(name) <= NAME_COLUMNS else "…" + name[1 - NAME_COLUMNS :]


@contextmanager
def opened_bars() -> Iterator[Bars]:
    """Show bars during a block. Afterwards the terminal is as before."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[step]}", markup=False),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        yield Bars(progress)
