"""The slow line between the two switches: `tc netem` where the kernel has it, else our own relay. 80 ms, 1 % lost."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable

from deploy.local.processes import Processes
from tests.fleet.commands import CommandError, command
from tests.fleet.network import FAR_SWITCH, SWITCH, plug
from tests.fleet.relay import TUN_DEVICE
from tests.fleet.servers import ended

DELAY_S = 0.08  # each way
LOSS = 0.01  # of the frames, each way
NEAR_END, FAR_END = "line-near", "line-far"
READY_WITHIN_S = 30.0

Figures = dict[str, object]
Counted = Callable[[], Awaitable[Figures]]


class NoSlowLineError(Exception):
    """This machine cannot have one; the message says why."""


@contextlib.asynccontextmanager
async def slow_line(seed: int) -> AsyncIterator[Counted]:
    """The line for the length of a block; what is yielded ends it and tells what went over it. NoSlowLineError."""
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
    """Raises CommandError where the kernel cannot."""
    await command("ip", "link", "add", NEAR_END, "type", "veth", "peer", "name", FAR_END)
    try:
        for end in (NEAR_END, FAR_END):
            how = ("netem", "delay", f"{DELAY_S * 1000:.0f}ms", "loss", f"{LOSS * 100:.0f}%")
            await command("tc", "qdisc", "add", "dev", end, "root", *how)
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
        raise NoSlowLineError(f"The kernel has no netem, and there is no {TUN_DEVICE} for a relay.")
    settings = ("--delay-s", str(DELAY_S), "--loss", str(LOSS), "--seed", str(seed))
    relay = await Processes().start(
        [sys.executable, "-m", "tests.fleet.relay", NEAR_END, FAR_END, *settings],
        output=PIPE,
        dies_with_us_by=signal.SIGKILL,
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
    return {"made_by": "a relay of our own", **json.loads(output)}


async def _plug_both() -> None:
    await plug(NEAR_END, SWITCH)
    await plug(FAR_END, FAR_SWITCH)
