"""Failpoints: named places where a test may have a process killed, frozen or failed, to show that it does no harm.

Without `arm` a failpoint is a call that returns at once. Armed, it looks for a file of its name in a folder; the first
process to take that file away does what the file says, once: `kill`, `stop` (SIGSTOP), `fail` or `exit`.
"""

import os
import signal
from pathlib import Path

_folder: Path | None = None


class FailpointError(OSError):
    """The misfortune that a test asked for; an OSError, as the network's own are."""


def arm(folder: str) -> None:
    """Obey the files of a folder from now on; an empty name disarms."""
    global _folder  # noqa: PLW0603 - one switch a process, set at its start
    _folder = Path(folder) if folder else None


def failpoint(name: str) -> None:
    """Something may happen here when a test wants it to."""
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
            raise ValueError(f"failpoint {order.name} does not know {other!r}")
