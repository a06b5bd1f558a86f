"""Messages on the terminal, and the errors of the local stack."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

FULL_BELOW_BYTES = 8 << 20  # too little for a database's next file
DISK_FULL_SIGNS = ("No space left on device", "Disk quota exceeded")


class LocalStackError(Exception):
    """The stack cannot continue; the message is one line and says what to do."""


class DiskFullError(LocalStackError):
    """The disk that holds the data is full."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"The disk that holds {folder} is full. Free some space, or set DATA_DIR to another disk.")


def explain(failure: str, output: str, folder: Path) -> LocalStackError:
    """Return the error of a failed program: DiskFullError if the disk is full, else its last error line."""
    if any(sign in output for sign in DISK_FULL_SIGNS) or _is_full(folder):
        return DiskFullError(folder)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    matching = [line for line in lines if any(word in line for word in ("FATAL", "ERROR", "error", "Permission"))]
    return LocalStackError(f"{failure}: {(matching or lines or ['no output'])[-1]}")


def _is_full(folder: Path) -> bool:
    return folder.exists() and shutil.disk_usage(folder).free < FULL_BELOW_BYTES


def say(line: str) -> None:
    """Print one line without buffering. A closed pipe does not stop the stack."""
    with suppress(OSError):
        print(line, flush=True)


def warn(line: str) -> None:
    """Print one line on standard error."""
    with suppress(OSError):
        print(f"warning: {line}", file=sys.stderr, flush=True)
