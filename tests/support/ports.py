"""Free ports for servers that start together."""

from deploy.local.ports import free_port


def free_ports(count: int) -> list[int]:
    """Return different loopback ports on which no process listens. One call of `free_port` may repeat another."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)
