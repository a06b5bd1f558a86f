"""Runs a module in namespaces of its own: network, mounts and processes. All that it makes there ends with it.

It is process 1 there: when it ends, however it does, the kernel ends all others and takes every link away. Its standard
input is a line to us: when that closes, because we were told to stop or are gone, it stops in good order.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from tests.fleet.allowed import NAMESPACES, environment

ROOT = Path(__file__).parents[2]
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """Run `python -m module` to its end; its exit status. What it prints is ours."""
    command = ["unshare", *NAMESPACES, sys.executable, "-m", module, *arguments]
    # A session of its own: Ctrl-C comes to us alone.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, env=environment(), start_new_session=True)
    with _closing_the_line_of(process):
        return process.wait()


@contextlib.contextmanager
def _closing_the_line_of(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        if process.stdin is not None:
            process.stdin.close()

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
