"""A host of the fleet: a network namespace, a name, an address, and a folder that no other host sees."""

from pathlib import Path

import msgspec

NETWORK = "10.77.0"
PREFIX_BITS = 24

# Goes into a host and becomes a program there. Above the fleet's folders lies an empty file system, in which only the
# host's own folder is let through, at its usual path.
ENTER = """
set -e
echo "$1" > /proc/sys/kernel/hostname
cd "$3"
mount -t tmpfs -o mode=755 fleet "$2"
mkdir -p "$3"
mount --no-canonicalize --bind . "$3"
cd "$3"
shift 3
exec "$@"
"""


def address(number: int) -> str:
    return f"{NETWORK}.{number}"


class Host(msgspec.Struct, frozen=True):
    """One machine. `base` is the folder of the whole fleet; `number` the end of its address."""

    name: str
    number: int
    base: Path

    @property
    def address(self) -> str:
        return address(self.number)

    @property
    def folder(self) -> Path:
        """Its disk."""
        return self.base / self.name

    @property
    def net(self) -> Path:
        """The file that holds its network namespace."""
        return self.base / "net" / self.name

    @property
    def inside(self) -> list[str]:
        """The command that becomes, on this host, the one behind it."""
        enter = ["unshare", "--mount", "--uts", "sh", "-c", ENTER, "enter"]
        return [*self.in_network, *enter, self.name, str(self.base), str(self.folder)]

    @property
    def in_network(self) -> list[str]:
        """The same for the network alone."""
        return ["nsenter", f"--net={self.net}"]
