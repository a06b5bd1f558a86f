"""The fleet's network: a switch that every host is plugged into, and a far switch behind a slow line.

A link that is cut drops frames in silence, as a broken cable does: nobody is told that a connection has ended.
We stand at the near switch ourselves, as the client and the operator.
"""

from tests.fleet.commands import command
from tests.fleet.hosts import PREFIX_BITS, Host, address

SWITCH, FAR_SWITCH = "fleet", "fleet-far"
OURS = address(1)


class Network:
    """All calls must come from within the fleet's own network namespace."""

    async def open(self) -> None:
        """Both switches, and our own place at the near one."""
        await command("ip", "link", "set", "lo", "up")
        for switch in (SWITCH, FAR_SWITCH):
            await command("ip", "link", "add", switch, "type", "bridge")
            await command("ip", "link", "set", switch, "up")
        await command("ip", "address", "add", f"{OURS}/{PREFIX_BITS}", "dev", SWITCH)

    async def add(self, host: Host) -> None:
        """A new host with its folder, plugged in."""
        host.folder.mkdir(parents=True)
        host.net.parent.mkdir(exist_ok=True)
        host.net.touch()
        await command("unshare", f"--net={host.net}", "true")
        await command("ip", "link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.net)
        await command(*host.in_network, "ip", "address", "add", f"{host.address}/{PREFIX_BITS}", "dev", "eth0")
        for device in ("lo", "eth0"):
            await command(*host.in_network, "ip", "link", "set", device, "up")
        await self.plug(host)

    async def plug(self, host: Host) -> None:
        """Into the near switch, wherever its cable was."""
        await plug(host.name, SWITCH)

    async def plug_far(self, host: Host) -> None:
        """Into the far switch: all that it sends and gets goes over the slow line."""
        await plug(host.name, FAR_SWITCH)

    async def unplug(self, host: Host) -> None:
        """Leave its cable hanging."""
        await command("ip", "link", "set", host.name, "nomaster")

    async def cut(self, one: Host, other: Host) -> None:
        """Let nothing pass between two hosts, of which one pair may be cut at a time."""
        await self._isolate(one, other, word="on")

    async def join(self, one: Host, other: Host) -> None:
        await self._isolate(one, other, word="off")

    async def _isolate(self, *hosts: Host, word: str) -> None:
        """The switch passes nothing from an isolated port to another one, and all else as ever."""
        for host in hosts:
            await command("bridge", "link", "set", "dev", host.name, "isolated", word)


async def plug(device: str, switch: str) -> None:
    await command("ip", "link", "set", device, "master", switch)
    await command("ip", "link", "set", device, "up")
