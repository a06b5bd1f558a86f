"""A small network tried out from within: `python -m tests.fleet.try_network FOLDER`, started as the fleet is.

Two hosts, of which one listens. What passes between them, and what each sees of the disk, is printed as JSON.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from deploy.local.processes import Processes
from tests.chaos.waiting import came_about
from tests.fleet.commands import CommandError, command
from tests.fleet.hosts import Host
from tests.fleet.network import Network
from tests.fleet.servers import ended
from tests.fleet.slow_line import slow_line

PORT = 8000
LISTENS_WITHIN_S = 30.0
SILENCE_S = 1  # for so long nothing may come through a link that is cut
SEED = 1


async def try_network(base: Path) -> dict[str, object]:
    """Whether the one is heard by the other: at first, cut off, joined again, and over the slow line."""
    network, one, other = Network(), Host("one", 2, base), Host("other", 3, base)
    await network.open()
    for host in (one, other):
        await network.add(host)
    listen = [sys.executable, "-m", "http.server", str(PORT), "--bind", one.address]
    server = await Processes(one.inside).start(
        listen, output=asyncio.subprocess.DEVNULL, dies_with_us_by=signal.SIGKILL
    )
    try:
        tried: dict[str, object] = {
            "at_first": await came_about(lambda: _heard(one, other), within_s=LISTENS_WITHIN_S),
            "folders_seen": (await command(*one.inside, "ls", base)).split(),
            "name": (await command(*one.inside, "uname", "-n")).strip(),
        }
        await network.cut(one, other)
        tried["cut_off"] = await _heard(one, other)
        await network.join(one, other)
        tried["joined"] = await _heard(one, other)
        async with slow_line(SEED) as counted:
            await network.plug_far(other)
            tried["far"] = await came_about(lambda: _heard(one, other), within_s=LISTENS_WITHIN_S)
            await network.plug(other)
            tried["line"] = await counted()
        tried["near_again"] = await came_about(lambda: _heard(one, other), within_s=LISTENS_WITHIN_S)
    finally:
        await ended(server, signal.SIGKILL)
    return tried


async def _heard(listener: Host, caller: Host) -> bool:
    """Whether a connection comes about before long."""
    connect = f"import socket; socket.create_connection(('{listener.address}', {PORT}), {SILENCE_S})"
    try:
        await command(*caller.in_network, sys.executable, "-c", connect)
    except CommandError:
        return False
    return True


if __name__ == "__main__":
    print(json.dumps(asyncio.run(try_network(Path(sys.argv[1])))))
