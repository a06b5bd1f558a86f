"""The fleet's network: a switch for all hosts, and a far switch behind a slow line.

A cut link drops frames silently, as a broken cable does: no peer sees a connection end. The client (this process)
is attached to the near switch.
"""

from tests.tools.fleet.commands import command
from tests.tools.fleet.hosts import PREFIX_BITS, Host, address

SWITCH, FAR_SWITCH = "fleet", "fleet-far"
CLIENT_ADDRESS = address(1)


class Network:
    """Call all methods from inside the fleet's network namespace."""

    async def open(self) -> None:
        """Create both switches and attach the client to the near one."""
        await command("ip", "link", "set", "lo", "up")
        for switch in (SWITCH, FAR_SWITCH):
            await command("ip", "link", "add", switch, "type", "bridge")
            await command("ip", "link", "set", switch, "up")
        await command("ip", "address", "add", f"{CLIENT_ADDRESS}/{PREFIX_BITS}", "dev", SWITCH)

    async def add(self, host: Host) -> None:
        """Create a host and its folder; plug it into the near switch."""
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
        """Plug a host into the near switch, also when it was plugged into the far one."""
        await plug(host.name, SWITCH)

    async def plug_far(self, host: Host) -> None:
        """Plug a host into the far switch: all its traffic passes the slow line."""
        await plug(host.name, FAR_SWITCH)

    async def unplug(self, host: Host) -> None:
        """Disconnect a host from its switch."""
        await command("ip", "link", "set", host.name, "nomaster")

    async def cut(self, one: Host, other: Host) -> None:
        """Drop all frames between two hosts. Only one pair may be cut at a time."""
        await self._isolate(one, other, word="on")

    async def join(self, one: Host, other: Host) -> None:
        await self._isolate(one, other, word="off")

    async def _isolate(self, *hosts: Host, word: str) -> None:
        """Set port isolation: the switch drops frames between isolated ports only."""
        for host in hosts:
            await command("bridge", "link", "set", "dev", host.name, "isolated", word)


async def plug(device: str, switch: str) -> None:
    await command("ip", "link", "set", device, "master", switch)
    await command("ip", "link", "set", device, "up")
