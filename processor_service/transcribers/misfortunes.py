"""What befalls the scripted transcriber when the prompt says so, for tests of what a broken child can do to others.

CRASH, OOM, HANG, SPIN, FLOOD (a file), CHATTER (replies), GARBAGE (no replies), ERROR. Each may be followed by ONCE and
a name, under which it befalls only the first to come. SLOW is followed by seconds; SPAWN starts a process and then does
what follows it.
"""

import collections
import itertools
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from processor_service.compute.messages import REPLIES_FD, Progress, frame

MEBIBYTE = 1 << 20


def befall(prompt: str | None, folder: Path | None) -> None:
    """Do what the prompt says; any other prompt is none. `folder` remembers what happened once."""
    match (prompt or "").split():
        case ["SPAWN", *rest]:
            subprocess.Popen(["sleep", "3600"])  # noqa: S607 - a test's
            befall(" ".join(rest), folder)
        case ["SLOW", seconds]:
            _wait(float(seconds))
        case [misfortune, "ONCE", name] if misfortune in MISFORTUNES:
            if _is_first(name, folder):
                MISFORTUNES[misfortune]()
        case [misfortune] if misfortune in MISFORTUNES:
            MISFORTUNES[misfortune]()


def _is_first(name: str, folder: Path | None) -> bool:
    if folder is None:
        raise ValueError("ONCE needs HEADRACE_MODEL to be a folder")
    try:
        (folder / f"{name}.happened").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _use_up_memory() -> None:
    _must_be_limited(resource.RLIMIT_DATA)
    hoard = []
    while True:
        hoard.append(b"x" * (16 * MEBIBYTE))


def _hang() -> None:
    """Without using the CPU, as in a deadlock."""
    _wait(float("inf"))


def _spin() -> None:
    """In C, as a decoder's endless loop: no Python code runs, no handler of a signal."""
    collections.deque(itertools.repeat(None), maxlen=0)


def _fill_the_disk() -> None:
    _must_be_limited(resource.RLIMIT_FSIZE)
    with tempfile.NamedTemporaryFile() as file:
        while True:
            file.write(b"x" * MEBIBYTE)


def _chatter() -> None:
    while True:
        os.write(REPLIES_FD, frame(Progress(fraction=0.5)))


def _talk_garbage() -> None:
    os.write(REPLIES_FD, b"\xde\xad\xbe\xef" * 16)


def _fail() -> None:
    raise RuntimeError("the prompt said ERROR")


def _must_be_limited(kind: int) -> None:
    """A test may break a child, never the machine."""
    if resource.getrlimit(kind)[0] == resource.RLIM_INFINITY:
        raise RuntimeError("this process has no limit to run into")


MISFORTUNES: dict[str, Callable[[], None]] = {
    "CRASH": _crash,
    "OOM": _use_up_memory,
    "HANG": _hang,
    "SPIN": _spin,
    "FLOOD": _fill_the_disk,
    "CHATTER": _chatter,
    "GARBAGE": _talk_garbage,
    "ERROR": _fail,
}
