"""The console script `headrace`. Exit status: 0 all done, 1 something failed, 2 usage, 130 interrupted."""

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

INTERRUPTED = 130


def main() -> int:
    """Run the command with the arguments and the environment of this process. Return the exit status."""
    # Nothing has begun: end at once. A KeyboardInterrupt can be lost in a callback of an import.
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        return _run()
    except KeyboardInterrupt:  # before or after the run, which handles signals itself
        return INTERRUPTED


def _run() -> int:
    try:
        from deploy.command.dispatch import run
        from shared.environment import take_environment
    except ModuleNotFoundError as error:
        print(f"headrace: {error.name} is not installed: pip install 'headrace[command]'", file=sys.stderr)
        return 1
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = run(sys.argv[1:], take_environment())
    if "obstore" in sys.modules:
        _end(status)
    return status


def _end(status: int) -> NoReturn:
    """End without the interpreter's shutdown, in which a thread of obstore may abort the process."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
