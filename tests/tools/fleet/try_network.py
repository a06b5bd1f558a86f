"""Tries a small network from inside the namespaces: `python -m tests.tools.fleet.try_network FOLDER`.

One of two hosts listens. The program prints as JSON when they can connect and which folders a host sees.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from deploy.local.processes import Processes
from tests.tools.chaos.waiting import became_true
from tests.tools.fleet.commands import CommandError, command
from tests.tools.fleet.hosts import Host
from tests.tools.fleet.network import Network
from tests.tools.fleet.servers import ended
from tests.tools.fleet.slow_line import slow_line

PORT = 8000
LISTENS_WITHIN_S = 30.0
CONNECT_TIMEOUT_S = 1
SEED = 1


async def try_network(base: Path) -> dict[str, object]:
    """Return whether the hosts connect: at first, with the link cut, restored, and over the slow line."""
    network, one, other = Network(), Host("one", 2, base), Host("other", 3, base)
    await network.open()
    for host in (one, other):
        await network.add(host)
    listen = [sys.executable, "-m", "http.server", str(PORT), "--bind", one.address]
    server = await Processes(one.inside).start(
        listen, output=asyncio.subprocess.DEVNULL, parent_death_signal=signal.SIGKILL
    )
    try:
        result: dict[str, object] = {
            "at_first": await became_true(lambda: _can_connect(one, other), within_s=LISTENS_WITHIN_S),
            "folders_seen": (await command(*one.inside, "ls", base)).split(),
            "name": (await command(*one.inside, "uname", "-n")).strip(),
        }
        await network.cut(one, other)
        result["cut_off"] = await _can_connect(one, other)
        await network.join(one, other)
        result["joined"] = await _can_connect(one, other)
        async with slow_line(SEED) as counted:
            await network.plug_far(other)
            result["far"] = await became_true(lambda: _can_connect(one, other), within_s=LISTENS_WITHIN_S)
            await network.plug(other)
            result["line"] = await counted()
        result["near_again"] = await became_true(lambda: _can_connect(one, other), within_s=LISTENS_WITHIN_S)
    finally:
        await ended(server, signal.SIGKILL)
    return result


async def _can_connect(listener: Host, caller: Host) -> bool:
    """Return whether a connection opens within the timeout."""
    connect = f"import socket; socket.create_connection(('{listener.address}', {PORT}), {CONNECT_TIMEOUT_S})"
    try:
        await command(*caller.in_network, sys.executable, "-c", connect)
    except CommandError:
        return False
    return True


if __name__ == "__main__":
    print(json.dumps(asyncio.run(try_network(Path(sys.argv[1])))))
