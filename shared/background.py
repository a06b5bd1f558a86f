"""Lowers the priority of a process that computes: on the same cores, processes that answer clients run first."""

import ctypes
import os
import platform
import struct
import sys
import time
from pathlib import Path

NICENESS = 10
SLICE_NS = 500_000
SESSION_NICENESS = Path("/proc/self/autogroup")
ATTEMPTS, PAUSE_S = 10, 0.11  # without privileges, Linux accepts one change in 0.1 s, of all processes together
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # the number of the system call


def run_in_background() -> None:
    """Lower the priority of this process, and of its session if the process leads one. Call it before threads start.

    Where Linux divides the cores among sessions (`sched_autogroup`, on by default), niceness counts within one session
    only. So start such a process with `start_new_session=True`.
    """
    os.nice(NICENESS)
    if sys.platform == "linux":
        _shorten_slices()
        if os.getsid(0) == os.getpid():
            _lower_session()


def _shorten_slices() -> None:
    """Let other processes run soon after they wake: since Linux 6.12, the running one may finish its slice of 3 ms."""
    number = SCHED_SETATTR.get(platform.machine())
    if number is not None:
        attributes = struct.pack("IIQiIQQQ", 48, os.SCHED_BATCH, 0, NICENESS, 0, SLICE_NS, 0, 0)  # struct sched_attr
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)  # where it fails, slices stay as they are


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
