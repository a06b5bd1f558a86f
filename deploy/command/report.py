"""What the person sees: bars on a terminal, lines elsewhere, and JSON lines for programs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import msgspec

from deploy.command.sources import Source, printable
from shared.schemas.api import JobEvent, JobView, ProblemInJob
from shared.schemas.states import JobStatus

MEGABYTE = 1e6


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one source. One line of `--json`."""

    source: str
    status: Literal["done", "skipped", "failed", "cancelled"]
    job_id: str | None = None
    outputs: tuple[str, ...] = ()
    duration_s: float | None = None  # of the audio
    warnings: tuple[str, ...] = ()
    error: ProblemInJob | None = None


class Report(Protocol):
    """Shows the work on several sources at once."""

    def expect(self, count: int) -> None:
        """There are `count` sources in all."""

    def sent(self, source: Source, done_bytes: int, all_bytes: int) -> None:
        """The upload got so far."""

    def changed(self, source: Source, state: JobEvent | JobView) -> None:
        """The job is in this state."""

    def ended(self, source: Source, outcome: Outcome) -> None:
        """The work on the source ended."""

    def note(self, text: str) -> None:
        """Show a line."""


def write_line(text: str) -> None:
    """Print a line for the person. Standard output is for results."""
    print(printable(text), file=sys.stderr, flush=True)


def write_json(value: msgspec.Struct) -> None:
    """Print a result for a program."""
    print(msgspec.json.encode(value).decode(), flush=True)


def describe(outcome: Outcome) -> str:
    """Return the line of an outcome."""
    match outcome.status:
        case "done":
            warned = f" ({', '.join(outcome.warnings)})" if outcome.warnings else ""
            written = f" -> {', '.join(outcome.outputs)}" if outcome.outputs else ""
            return f"{outcome.source}{written}{warned}"
        case "skipped":
            return f"{outcome.source}: skipped, up to date: {', '.join(outcome.outputs)}"
        case "cancelled":
            return f"{outcome.source}: cancelled"
        case "failed":
            error = outcome.error
            return f"{outcome.source}: failed: {error.message if error else ''} [{error.code if error else ''}]"


def describe_state(state: JobEvent | JobView) -> str:
    """Return the status in a word: queued, or the stage."""
    return "queued" if state.status == JobStatus.QUEUED else state.stage.value


class Lines:
    """One line when a source begins, and one when it ends."""

    def __init__(self, write: Callable[[str], None] = write_line) -> None:
        self._write = write
        self._begun: set[str] = set()

    def expect(self, count: int) -> None:
        pass

    def sent(self, source: Source, done_bytes: int, all_bytes: int) -> None:  # noqa: ARG002 - the protocol's
        self._begin(source, f"uploading {all_bytes / MEGABYTE:.1f} MB")

    def changed(self, source: Source, state: JobEvent | JobView) -> None:
        self._begin(source, f"job {state.job_id}")

    def ended(self, source: Source, outcome: Outcome) -> None:
        self._begun.discard(source.id)
        self._write(describe(outcome))

    def note(self, text: str) -> None:
        self._write(text)

    def _begin(self, source: Source, text: str) -> None:
        if source.id not in self._begun:
            self._begun.add(source.id)
            self._write(f"{source.name}: {text}")


class Silent(Lines):
    """Only notes, for `--json` and quiet runs."""

    def ended(self, source: Source, outcome: Outcome) -> None:
        pass

    def _begin(self, source: Source, text: str) -> None:
        pass


@contextmanager
def opened_report(*, as_json: bool, prints: bool) -> Iterator[Report]:
    """Choose the report: bars on a terminal, unless results are printed on it (`prints`)."""
    if as_json:
        yield Silent()
    elif sys.stderr.isatty() and not (prints and sys.stdout.isatty()):
        from deploy.command.bars import opened_bars  # rich takes a while to import

        with opened_bars() as bars:
            yield bars
    else:
        yield Lines()


def show_cursor() -> None:
    """Show the terminal's cursor, which bars hide: for an end that leaves no block."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")
        sys.stderr.flush()
