"""One request and its answer, as the application sees them: `receive` and `send` of ASGI.

uvicorn's own copies each body twice, searches each header of an answer twice and writes head and body of an answer
separately, which also wakes the client twice.
"""

import asyncio
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

# RFC 9110, sections 5.1 and 5.5: names are tokens, values have no control characters.
FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WITHOUT_BODY = frozenset({204, 304})


class Exchange(RequestResponseCycle):
    """It has the attributes of uvicorn's cycle, which uvicorn's protocol reads and sets."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._pieces: list[bytes] = []  # of the body, not received by the application yet
        self._unread_bytes = 0
        self._head = b""  # of the answer, until it is written

    def add(self, piece: bytes) -> None:
        """Add a piece of the body. Stop reading from the socket while the application is slower."""
        self._pieces.append(piece)
        self._unread_bytes += len(piece)
        if self._unread_bytes > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.message_event.set()

    async def receive(self) -> Any:
        """Wait for a part of the body, its end, or the end of the connection."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(CONTINUE)
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            if not self.message_event.is_set():
                await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        pieces, self._pieces, self._unread_bytes = self._pieces, [], 0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """Write a part of the answer. RuntimeError for messages in the wrong order and for invalid headers."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if self.response_complete or message["type"] != expected:
            raise RuntimeError(f"The application sent {message['type']!r} out of order.")
        if self.response_started:
            self._write_body(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            self._begin_answer(message["status"], [*self.default_headers, *message.get("headers", ())])

    def _begin_answer(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Hold the head until the first part of the body follows: one system call. Alone, it is sent soon."""
        self._read_framing(headers)
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in WITHOUT_BODY:
            self.chunked_encoding = True
            headers.append((b"transfer-encoding", b"chunked"))
        self._head = STATUS_LINE[status] + field_lines(headers) + b"\r\n"
        self.response_started = True
        self.waiting_for_100_continue = False
        asyncio.get_running_loop().call_soon(self._write, b"")

    def _read_framing(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Read what the headers say about the body and the connection. Add `connection: close` if it is missing."""
        closes = False
        for name, value in headers:
            match name.lower():
                case b"content-length" if self.chunked_encoding is None:
                    self.expected_content_length, self.chunked_encoding = int(value), False
                case b"transfer-encoding" if value.lower() == b"chunked":
                    self.expected_content_length, self.chunked_encoding = 0, True
                case b"connection":
                    closes = closes or b"close" in {token.strip() for token in value.lower().split(b",")}
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append((b"connection", b"close"))

    def _write_body(self, body: bytes, *, is_last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"0\r\n\r\n" if is_last else b"")
        else:
            self.expected_content_length -= len(body)
        if self.expected_content_length < 0 or (is_last and self.expected_content_length):
            raise RuntimeError("The body of an answer does not have its Content-Length.")
        self._write(body)
        if is_last:
            self._end()

    def _write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self.transport.write(data)

    def _end(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def head_of(url: bytes, method: bytes, version: str) -> Any:
    """Return what a valid request line gives the ASGI scope."""
    target = httptools.parse_url(url)
    path = target.path.decode("ascii")
    return {
        "method": method.decode("ascii"),
        "http_version": version,
        "path": unquote(path) if "%" in path else path,
        "raw_path": target.path,
        "query_string": target.query or b"",
    }


def field_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the lines of an answer's headers. RuntimeError if one is invalid."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    fields = b"".join(lines)
    if fields.count(b"\n") != len(lines) or not FIELDS.fullmatch(fields):
        raise RuntimeError("An answer has an invalid header.")
    return fields
