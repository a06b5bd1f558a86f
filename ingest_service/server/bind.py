"""Takes the port: one listening socket for each process that serves."""

import os
import socket
import sys

BACKLOG = 2048  # connections that wait to be taken, of each socket


class CannotStartError(Exception):
    """One sentence for whoever started the process."""


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, or CannotStartError when it cannot be had."""
    return _bound(host, port, shared=False)


def bind_each(host: str, port: int, processes: int) -> list[socket.socket]:
    """A listening socket for each process on the one port; CannotStartError when it cannot be had.

    With SO_REUSEPORT the kernel deals the connections out among the sockets by their addresses. Processes that wait at
    one and the same socket would not share them: who wakes first takes all that came, and keeps them while they live.
    """
    alone = bind(host, port)  # without the option, so that a port which somebody else serves is refused
    if processes == 1:
        return [alone]
    port = alone.getsockname()[1]
    if sys.platform != "linux":  # others have the option, but deal nothing out
        return [alone] * processes
    alone.close()
    return [_bound(host, port, shared=True) for _ in range(processes)]


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # two processes may bind; only one may listen
    except OSError as error:
        listener.close()
        raise CannotStartError(f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}") from error
    return listener
