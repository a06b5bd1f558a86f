"""TCP ports: find a free one, or check a given one."""

import errno
import secrets
import socket

from deploy.local.terminal import LocalStackError

LOOPBACK = "127.0.0.1"
LISTENERS = range(10_000, 32_768)  # below the kernel's range for outgoing connections, which could take the port first


def free_port() -> int:
    """Return a loopback port on which no process listens and that no outgoing connection takes."""
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
    """Raise LocalStackError unless this process can listen on the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise LocalStackError(f"Cannot listen on {host}:{port} ({reason}). Set PORT to another port.") from error
