"""The slow line between the two switches: `tc netem` if the kernel has it, else our relay. 80 ms delay, 1 % loss."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable

from deploy.local.processes import Processes
from tests.tools.fleet.commands import CommandError, command
from tests.tools.fleet.network import FAR_SWITCH, SWITCH, plug
from tests.tools.fleet.relay import TUN_DEVICE
from tests.tools.fleet.servers import ended

DELAY_S = 0.08  # each way
LOSS = 0.01  # of the frames, each way
NEAR_END, FAR_END = "line-near", "line-far"
READY_WITHIN_S = 30.0

Figures = dict[str, object]
Counted = Callable[[], Awaitable[Figures]]


class NoSlowLineError(Exception):
    """This machine does not support a slow line; the message gives the reason."""


@contextlib.asynccontextmanager
async def slow_line(seed: int) -> AsyncIterator[Counted]:
    """Keep the line for a block. The yielded function closes it and returns its counts. Raise NoSlowLineError."""
    try:
        counted = await _netem()
    except CommandError:
        async with _relayed(seed) as counted:
            yield counted
    else:
        yield counted
        with contextlib.suppress(CommandError):
            await command("ip", "link", "delete", NEAR_END)


async def _netem() -> Counted:
    """Build the line with `tc netem`. Raise CommandError when the kernel has no netem."""
    await command("ip", "link", "add", NEAR_END, "type", "veth", "peer", "name", FAR_END)
    try:
        for end in (NEAR_END, FAR_END):
            netem = ("netem", "delay", f"{DELAY_S * 1000:.0f}ms", "loss", f"{LOSS * 100:.0f}%")
            await command("tc", "qdisc", "add", "dev", end, "root", *netem)
    except (CommandError, FileNotFoundError) as error:
        await command("ip", "link", "delete", NEAR_END)
        raise CommandError(str(error)) from error
    await _plug_both()

    async def counted() -> Figures:
        kinds = [
            json.loads(await command("tc", "-s", "-j", "qdisc", "show", "dev", end)) for end in (NEAR_END, FAR_END)
        ]
        both = [kind for kinds_of_end in kinds for kind in kinds_of_end]
        passed, lost = (sum(kind[name] for kind in both) for name in ("packets", "drops"))
        return {"made_by": "tc netem", "frames_passed": passed, "frames_lost": lost}

    return counted


@contextlib.asynccontextmanager
async def _relayed(seed: int) -> AsyncIterator[Counted]:
    if not os.access(TUN_DEVICE, os.W_OK):
        raise NoSlowLineError(f"The kernel has no netem, and {TUN_DEVICE}, which the relay needs, is not writable.")
    settings = ("--delay-s", str(DELAY_S), "--loss", str(LOSS), "--seed", str(seed))
    relay = await Processes().start(
        [sys.executable, "-m", "tests.tools.fleet.relay", NEAR_END, FAR_END, *settings],
        output=PIPE,
        parent_death_signal=signal.SIGKILL,
    )
    try:
        await _until_ready(relay)
        await _plug_both()
        yield lambda: _ended(relay)
    finally:
        await ended(relay, signal.SIGTERM)


async def _until_ready(relay: Process) -> None:
    assert relay.stdout is not None
    line = await asyncio.wait_for(relay.stdout.readline(), READY_WITHIN_S)
    assert line == b"ready\n", line


async def _ended(relay: Process) -> Figures:
    relay.terminate()
    output, _ = await relay.communicate()
    return {"made_by": "userspace relay", **json.loads(output)}


async def _plug_both() -> None:
    await plug(NEAR_END, SWITCH)
    await plug(FAR_END, FAR_SWITCH)
