"""Lines for the person who started the stack."""

import sys
from contextlib import suppress


def say(line: str) -> None:
    """Print one line now, also into a pipe; where nobody reads any more, the stack goes on all the same."""
    with suppress(OSError):
        print(line, flush=True)


def warn(line: str) -> None:
    """The same on standard error, where it is no part of what a command prints."""
    with suppress(OSError):
        print(f"warning: {line}", file=sys.stderr, flush=True)
