"""`python -m tests.tools.benchmarks.ingest.instant_server PORT`: answers each request at once and stores nothing.

It measures the load generator's maximum rate. It parses this benchmark's requests only, whose heads arrive in one
piece.
"""

import re
import select
import socket
import sys

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
BODY = b'{"job_id":"00000000-0000-0000-0000-000000000000"}'
ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
BACKLOG = 4096


class Server:
    """Serves all connections with one epoll and counts the missing request bytes of each."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self._listener.settimeout(0)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._open: dict[int, socket.socket] = {}
        self._missing: dict[int, int] = {}
        self._buffer = bytearray(1 << 20)

    def serve(self) -> None:
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._read(descriptor)

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(0)
                self._open[connection.fileno()] = connection
                self._missing[connection.fileno()] = 0
                self._epoll.register(connection.fileno(), select.EPOLLIN)
        except BlockingIOError:
            return

    def _read(self, descriptor: int) -> None:
        connection = self._open[descriptor]
        try:
            size = connection.recv_into(self._buffer)
        except OSError:
            size = 0
        if not size:
            self._open.pop(descriptor).close()
            return
        missing = self._missing[descriptor] or self._request_bytes(size)
        self._missing[descriptor] = missing - size
        if missing == size:
            connection.send(ANSWER)

    def _request_bytes(self, size: int) -> int:
        end = self._buffer.index(b"\r\n\r\n", 0, size) + 4
        length = LENGTH.search(self._buffer, 0, end)
        return end + (int(length[1]) if length else 0)


if __name__ == "__main__":
    Server(int(sys.argv[1])).serve()
