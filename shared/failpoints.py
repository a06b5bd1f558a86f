"""Failpoints: named points in the code at which a test kills, freezes or fails a process.

Without `arm` a failpoint returns at once. Armed, it looks for a file of its name in a folder. The first process that
renames the file does what the file says, once: `kill`, `stop` (SIGSTOP), `fail` or `exit`.
"""

import os
import signal
from pathlib import Path

_folder: Path | None = None


class FailpointError(OSError):
    """The fault that a test injects; an OSError, like errors of the network."""


def arm(folder: str) -> None:
    """Obey the files of this folder from now on; an empty name disarms."""
    global _folder  # noqa: PLW0603 - one switch a process, set at its start
    _folder = Path(folder) if folder else None


def failpoint(name: str) -> None:
    """Inject the fault that a test ordered for this name, if any."""
    if _folder is not None:
        _obey(_folder / name)


def _obey(order: Path) -> None:
    taken = order.with_suffix(f".taken-by-{os.getpid()}")
    try:
        order.rename(taken)
    except FileNotFoundError:
        return
    match taken.read_text().strip():
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "fail":
            raise FailpointError(f"failpoint {order.name}")
        case "exit":
            os._exit(1)
        case other:
            raise ValueError(f"failpoint {order.name}: unknown action {other!r}; use kill, stop, fail or exit")
