"""Lines for the person who started the stack."""

from contextlib import suppress


def say(line: str) -> None:
    """Print one line now, also into a pipe; where nobody reads any more, the stack goes on all the same."""
    with suppress(OSError):
        print(line, flush=True)
