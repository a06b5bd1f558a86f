"""TCP ports: one that is free, and whether a given one is."""

import errno
import secrets
import socket

from deploy.local.terminal import LocalStackError

LOOPBACK = "127.0.0.1"
LISTENERS = range(10_000, 32_768)  # below the ports that kernels give to connections: one of those could take it first


def free_port() -> int:
    """A port of loopback on which no process listens now, and that no outgoing connection will take."""
    while True:
        port = secrets.choice(LISTENERS)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port


def require_free(host: str, port: int) -> None:
    """Raise LocalStackError unless this process may listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise LocalStackError(f"Cannot listen on {host}:{port} ({reason}). Set PORT to another one.") from error
