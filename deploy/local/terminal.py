"""Lines for the person who started the stack."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

# What can go wrong with the local stack, as one line for the person who started it.
#
# LocalStackError └── DiskFullError

FULL_BELOW_BYTES = 8 << 20  # less is no room for a database's next file
DISK_FULL_SIGNS = ("No space left on device", "Disk quota exceeded")


class LocalStackError(Exception):
    """The stack cannot go on; the message is one line that says what to do about it."""


class DiskFullError(LocalStackError):
    """The disk that holds the data is full."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"The disk that holds {folder} is full. Free some space, or set DATA_DIR to another disk.")


def explain(failure: str, output: str, folder: Path) -> LocalStackError:
    """The error of a program that failed: a full disk if that is the cause, else its last words."""
    if any(sign in output for sign in DISK_FULL_SIGNS) or _is_full(folder):
        return DiskFullError(folder)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "ERROR", "error", "Permission"))]
    return LocalStackError(f"{failure}: {(telling or lines or ['it said nothing'])[-1]}")


def _is_full(folder: Path) -> bool:
    return folder.exists() and shutil.disk_usage(folder).free < FULL_BELOW_BYTES


def say(line: str) -> None:
    """Print one line now, also into a pipe; where nobody reads any more, the stack goes on all the same."""
    with suppress(OSError):
        print(line, flush=True)


def warn(line: str) -> None:
    """The same on standard error, where it is no part of what a command prints."""
    with suppress(OSError):
        print(f"warning: {line}", file=sys.stderr, flush=True)
