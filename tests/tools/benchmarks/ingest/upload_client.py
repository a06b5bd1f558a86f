"""One client of the load generator: a non-blocking socket with at most one upload at a time."""

import select
import socket
import time
from collections.abc import Iterable, Iterator

from tests.tools.benchmarks.ingest.http_answer import Answer, read_answer

IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: connect selects the port and may share it between destinations
SEND_BUFFER_BYTES = 256 << 10  # a small upload fits, and costs one system call
READ_BYTES = 64 << 10
Buffer = bytes | memoryview


class Client:
    """Connects at once, from the address `source`. The latency of its upload counts from `began_s`."""

    __slots__ = ("_batches", "_epoll", "_events", "_received", "_socket", "_waiting", "began_s", "number")

    def __init__(self, epoll: select.epoll, address: tuple[str, int], source: str) -> None:
        self.number = 0
        self.began_s = time.monotonic()
        self._batches: Iterator[list[bytes]] = iter(())
        self._waiting: list[Buffer] = []
        self._received = bytearray()
        self._epoll = epoll
        self._events = select.EPOLLIN
        self._socket = _connecting(address, source)
        epoll.register(self._socket.fileno(), self._events)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_open(self) -> bool:
        return self._socket.fileno() >= 0

    def begin(self, number: int, batches: Iterable[list[bytes]] = ()) -> None:
        """Send upload `number`: these bytes, then those passed to `feed`. Raise OSError on failure."""
        self.number = number
        self._batches = iter(batches)
        self.send()

    def feed(self, piece: bytes) -> None:
        """Send more bytes of the upload. Raise OSError on failure."""
        self._waiting.append(piece)
        self.send()

    def send(self) -> None:
        """Send until all is sent or the socket buffer is full; epoll then signals when to call again."""
        try:
            while self._waiting or self._refill():
                self._waiting = rest_of(self._waiting, self._socket.sendmsg(self._waiting))
        except BlockingIOError:
            self._watch(select.EPOLLIN | select.EPOLLOUT)
        else:
            self._watch(select.EPOLLIN)

    def receive(self) -> Answer | None:
        """Return the answer if complete. Raise OSError for a broken connection, ValueError for an invalid answer."""
        try:
            piece = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        if not piece:
            raise ConnectionError("closed without an answer")
        self._received += piece
        answer = read_answer(self._received)
        if answer:
            self._received.clear()
        return answer

    def close(self) -> None:
        self._socket.close()  # also removes it from the epoll

    def _refill(self) -> bool:
        self._waiting = list(next(self._batches, ()))
        return bool(self._waiting)

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._events = events
            self._epoll.modify(self._socket.fileno(), events)


def rest_of(buffers: list[Buffer], sent: int) -> list[Buffer]:
    """Return the unsent rest of the buffers."""
    for index, buffer in enumerate(buffers):
        if sent < len(buffer):
            return [memoryview(buffer)[sent:], *buffers[index + 1 :]]
        sent -= len(buffer)
    return []


def _connecting(address: tuple[str, int], source: str) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((source, 0))
    client.connect_ex(address)  # asynchronous; a refused connection raises at the first send
    return client
