"""TCP ports: one that is free, and whether a given one is."""

import socket

from deploy.local.errors import LocalStackError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def require_free(host: str, port: int) -> None:
    """Raise LocalStackError unless this process may listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise LocalStackError(f"Cannot listen on {host}:{port} ({reason}). Set PORT to another one.") from error
