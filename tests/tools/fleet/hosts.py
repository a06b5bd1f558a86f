"""A host of the fleet: a network namespace, a name, an address and a private folder."""

from pathlib import Path

import msgspec

NETWORK = "10.77.0"
PREFIX_BITS = 24

# Enters a host and executes a program there. An empty file system hides the fleet's folders, except the host's own
# folder, which keeps its path.
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
    """`base` is the folder of the whole fleet; `number` the last byte of the host's address."""

    name: str
    number: int
    base: Path

    @property
    def address(self) -> str:
        return address(self.number)

    @property
    def folder(self) -> Path:
        """The host's disk."""
        return self.base / self.name

    @property
    def net(self) -> Path:
        """The file to which the network namespace is bound."""
        return self.base / "net" / self.name

    @property
    def inside(self) -> list[str]:
        """The command prefix that runs a program on this host."""
        enter = ["unshare", "--mount", "--uts", "sh", "-c", ENTER, "enter"]
        return [*self.in_network, *enter, self.name, str(self.base), str(self.folder)]

    @property
    def in_network(self) -> list[str]:
        """The command prefix that runs a program in this host's network only."""
        return ["nsenter", f"--net={self.net}"]
