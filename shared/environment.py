"""Takes this process' environment, so that no secret of it can be read elsewhere.

Linux shows the environment that a process was started with to every process of its user, in `/proc/<pid>/environ`.
Programs read their settings here, first of all. No other module reads the environment.
"""

import ctypes
import os
import sys
from pathlib import Path

PREFIX = "HEADRACE_"
PR_SET_DUMPABLE = 4  # linux/prctl.h
ENV_START, ENV_END = 47, 48  # fields of /proc/self/stat after the name, which are the numbers 50 and 51 of proc(5)
NOT_INHERITED = frozenset({"API_KEY", "KEY"})  # of the local stack's commands
NOT_SECRET = frozenset({"HOME", "LANG", "PATH", "TMPDIR"})


def take_environment() -> dict[str, str]:
    """Return the environment. Afterwards `os.environ` has no setting, and other processes can read none.

    The variables of libraries (`AWS_*` and others) stay in `os.environ`. The process also leaves no core dump, and only
    root can trace it or read its memory.
    """
    taken = dict(os.environ)
    for name, value in taken.items():
        if name.startswith(PREFIX) or name in NOT_INHERITED:
            os.environ.pop(name)
        else:
            os.environ[name] = value  # in new memory: libraries read their variables after the old one is cleared
    if sys.platform == "linux":
        _clear_initial_environment()
        forbid_tracing()
    return taken


def forbid_tracing() -> None:
    """Let only root trace this process, read its memory, environment and descriptors, or dump its core (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _clear_initial_environment() -> None:
    """Overwrite what the kernel shows as the environment, except variables that are no secrets."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[ENV_START]), int(fields[ENV_END])
    at = start
    for variable in ctypes.string_at(start, end - start).split(b"\0"):
        if variable.partition(b"=")[0].decode(errors="replace") not in NOT_SECRET:
            ctypes.memset(at, 0, len(variable))
        at += len(variable) + 1
