"""Run and operate Headrace on this machine: `python -m deploy.local run`. Environment variables hold the options."""

import asyncio
import errno
import signal
import sys
from collections.abc import Awaitable, Callable

from deploy.local.processes import adopt_orphans
from deploy.local.settings import Choices
from deploy.local.terminal import DiskFullError, LocalStackError, say
from shared.environment import take_environment

Command = Callable[[Choices], Awaitable[None]]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def main(arguments: list[str]) -> int:
    """Run a command until it ends or a signal stops it. Return the exit status."""
    command = _find_command(arguments[0]) if len(arguments) == 1 else None
    if command is None:
        return _fail(_usage(), 2)
    try:
        choices = Choices.of(take_environment())
    except LocalStackError as error:
        return _fail(str(error), 1)
    try:
        asyncio.run(_until_stopped(command, choices))
    except LocalStackError as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(_describe(error, choices), 1)
    return 0


def _find_command(name: str) -> Command | None:
    """Import only the chosen command: the HTTP clients of the others take longer than all that `run` needs."""
    if name == "run":
        from deploy.local.run import run

        return run
    if name == "demo":
        from deploy.local.demo import demonstrate

        return demonstrate
    from deploy.local.operate import COMMANDS

    return COMMANDS.get(name)


def _usage() -> str:
    from deploy.local.operate import COMMANDS

    return f"usage: python -m deploy.local {'|'.join(['run', 'demo', *COMMANDS])}"


async def _until_stopped(command: Command, choices: Choices) -> None:
    """Run a command. The first signal cancels it; later signals are ignored."""
    adopt_orphans()
    work = asyncio.ensure_future(command(choices))
    stopped = asyncio.Event()

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            work.cancel()
            say("stopping")

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await work
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise


def _describe(error: OSError, choices: Choices) -> str:
    if error.errno in DISK_FULL:
        return str(DiskFullError(choices.data_dir))
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error.strerror or error)


def _fail(line: str, status: int) -> int:
    print(line, file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
