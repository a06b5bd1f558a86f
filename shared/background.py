"""Lowers the priority of a process that computes: on the same cores, processes that answer clients run first."""

import os
import time
from pathlib import Path

NICENESS = 10
SESSION_NICENESS = Path("/proc/self/autogroup")
ATTEMPTS, PAUSE_S = 10, 0.11  # without privileges, Linux accepts one change in 0.1 s, of all processes together


def run_in_background() -> None:
    """Lower the priority of this process, and of its session if the process leads one.

    Where Linux divides the cores among sessions (`sched_autogroup`, on by default), niceness counts within one session
    only. So start such a process with `start_new_session=True`.
    """
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        _lower_session()


def _lower_session() -> None:
    for _ in range(ATTEMPTS):
        try:
            SESSION_NICENESS.write_text(str(NICENESS))
        except BlockingIOError:
            time.sleep(PAUSE_S)
        except OSError:  # this system has no such groups
            return
        else:
            return
