"""Runs a module in new network, mount and process namespaces, which end with it.

The module is process 1 there: when it ends, the kernel kills its other processes and removes all links. Its standard
input is a pipe from this process: the module shuts down when the pipe closes, on a stop signal or our death.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from tests.tools.fleet.allowed import NAMESPACES, environment

ROOT = Path(__file__).parents[3]
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """Run `python -m module` to its end and return its exit status. It inherits standard output."""
    command = ["unshare", *NAMESPACES, sys.executable, "-m", module, *arguments]
    # A new session: only this process receives Ctrl-C.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, env=environment(), start_new_session=True)
    with _closing_stdin_of(process):
        return process.wait()


@contextlib.contextmanager
def _closing_stdin_of(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        if process.stdin is not None:
            process.stdin.close()

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
