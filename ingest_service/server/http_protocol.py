"""uvicorn's HTTP protocol, with timeouts and bounds for what happens before and after the application.

uvicorn accepts some requests that RFC 9112 calls invalid, waits for a request's head forever, stores any number of
headers, trailers and pipelined requests, and keeps an answer as long as the client does not read it. A client could use
our memory and sockets at the cost of a few bytes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest_service.middleware.bounded_answers import ABORT_KEY
from ingest_service.middleware.problems import plain_problem
from ingest_service.server.connections import HEALTH_PATH, Connections
from ingest_service.server.request_rules import SINGLE, is_request_line, is_valid_head
from ingest_service.uploads.body import MIN_WINDOW_BYTES

HEAD_TIMEOUT_S = 20.0  # for a complete head, from the connection or the last answer on; as long as a body may stall
MAX_HEAD_BYTES = 32 << 10  # request line, headers and trailers; the query may hold options
MAX_HEADERS = 100
MAX_PIPELINED = 8  # requests that wait for the current one
MAX_FRAMING_BYTES = 64 << 10  # chunk sizes and extensions, in addition to FRAMING_PER_BYTE for each byte of a body
FRAMING_PER_BYTE = 8
CLOSE_AFTER_S = 2.0  # time for the client to read the last answer
UNREAD_TIMEOUT_S = (
    60.0  # the client must read MIN_WINDOW_BYTES of an answer in this time; kernels open a full window in large steps
)


class _RefusedHeadError(Exception):
    """Stop the parser. `code` is a key of PROBLEM_TYPES."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Valid requests that came before an invalid one are still answered."""

    _head_deadline: asyncio.TimerHandle | None = None
    _unread_deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _is_between = True  # the next byte begins a request
    _line: bytes | None = None  # of a request line that is not complete yet
    _is_head_method = False  # an answer to HEAD has no body
    _seen_single: set[bytes]
    _framing_bytes = 0  # of the current body
    _head_bytes = 0
    _unparsed_bytes = 0  # bytes since the last complete head or part of a body, for which no callback came
    _refusal = "invalid_request"
    _ended = False  # further bytes are discarded

    def __init__(self, *, open_connections: Connections | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._open_connections = open_connections or Connections()
        self._address = ""
        self._is_surplus = False  # above a bound: only health checks are answered

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._is_surplus = not self._open_connections.add(self._address)
        if self._is_surplus and not self._open_connections.has_room_for_health_checks(self._address):
            self._ended = True
            transport.abort()
        self._set_head_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_connections.remove(self._address)
        for timer in (self._head_deadline, self._unread_deadline):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._unparsed_bytes += len(data)
        self._framing_bytes += len(data)
        if (self._is_between or self._line is not None) and not self._is_valid_line(data):
            self._refuse("invalid_request")
            return
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._refuse("head_too_large")
        elif self._framing_bytes > MAX_FRAMING_BYTES:
            self._refuse("invalid_request")
        elif self._in_head or not self._is_busy:  # idle: only empty lines came, which begin no message
            self._set_head_deadline()

    def _is_valid_line(self, data: bytes) -> bool:
        """Whether the request line is valid as far as it has arrived. The parser accepts other protocols and spaces."""
        self._line = ((self._line or b"") + data).lstrip(b"\r\n")[:MAX_HEAD_BYTES] if self._line else data
        verdict = is_request_line(self._line)
        if verdict is not None:
            self._line = None
        return verdict is not False

    # --- callbacks of the parser: an exception stops it, and uvicorn calls send_400_response ---

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[ABORT_KEY] = self.transport.abort  # type: ignore[literal-required] # for our own wrapper
        self._in_head = True
        self._is_between = self._is_head_method = False
        self._head_bytes = 0
        self._seen_single = set()

    def on_url(self, url: bytes) -> None:
        self._count_head_bytes(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head_bytes(len(name) + len(value) + 4)
        if len(self.headers) >= MAX_HEADERS:
            raise self._refused("head_too_large")
        if not self._in_head:  # drop trailers: they must not count as headers
            return
        super().on_header(name, value)
        if (lower := self.headers[-1][0]) in SINGLE:
            if lower in self._seen_single:
                raise self._refused("invalid_request")
            self._seen_single.add(lower)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unparsed_bytes = 0
        self._framing_bytes -= self._head_bytes
        self._cancel_head_deadline()
        self._is_head_method = self.parser.get_method() == b"HEAD"
        if not is_valid_head(self.url, self.parser.get_http_version(), self.parser.get_method(), self.headers):
            raise self._refused("invalid_request")
        if self._is_surplus:
            self._require_health_check()
        if len(self.pipeline) >= MAX_PIPELINED:
            raise self._refused("invalid_request")
        if upgrades := self.parser.should_upgrade():
            self._refuse_body()
        super().on_headers_complete()
        self.cycle.transport = OneWrite(self.transport, self.loop)  # type: ignore[assignment] # has all that a cycle uses
        if upgrades:
            self.cycle.keep_alive = False  # no other protocol is supported, and the parser stops after this head
        elif self._is_surplus:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        self._framing_bytes -= (1 + FRAMING_PER_BYTE) * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        self._framing_bytes = 0
        self._is_between = True
        super().on_message_complete()

    def _count_head_bytes(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise self._refused("head_too_large")

    def _refuse_body(self) -> None:
        """Refuse a body after an upgrade: the parser treats it as another protocol, so the upload would seem empty."""
        if any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers):
            raise self._refused("unsupported_upgrade")

    def _require_health_check(self) -> None:
        if not self.url.startswith(HEALTH_PATH):
            self._open_connections.log_refusal(self._address)
            raise self._refused("too_many_connections")

    def _refused(self, code: str) -> _RefusedHeadError:
        self._refusal = code
        return _RefusedHeadError(code)

    # --- timeouts ---

    def _set_head_deadline(self) -> None:
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._time_out_head)

    def _cancel_head_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _time_out_head(self) -> None:
        if self._in_head or self._is_busy:
            self._refuse("request_stalled")
        else:
            self.transport.close()  # the client might take an answer for the answer to its next request

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_read_deadline()

    def resume_writing(self) -> None:
        if self._unread_deadline is not None:
            self._unread_deadline.cancel()
            self._unread_deadline = None
        super().resume_writing()

    def _set_read_deadline(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._unread_deadline = self.loop.call_later(UNREAD_TIMEOUT_S, self._check_read, unread)

    def _check_read(self, unread_before: int) -> None:
        if unread_before - self.transport.get_write_buffer_size() < MIN_WINDOW_BYTES:
            self.transport.abort()
        else:
            self._set_read_deadline()

    # --- refusing ---

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text, which ours replaces
        """Refuse the request. uvicorn calls this when the parser stops."""
        self._refuse(self._refusal)

    def _refuse(self, code: str) -> None:
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._cancel_head_deadline()
        if self._is_busy and not self.cycle.more_body:
            self.cycle.keep_alive = False  # the invalid bytes follow complete requests: answer those first
        elif self._is_busy and (self.cycle.response_started or self.pipeline):
            self.transport.abort()  # another answer would be mixed with the current one
        else:
            self._abandon_request()
            answer = plain_problem(code).last_bytes()
            self._answer_and_close(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if self._is_head_method else answer)

    def _abandon_request(self) -> None:
        if self._is_busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _answer_and_close(self, answer: bytes) -> None:
        """Answer, then read on for a moment: a close with unread bytes would reset the connection."""
        self.transport.write(answer)
        self.transport.write_eof()
        self._head_deadline = self.loop.call_later(CLOSE_AFTER_S, self.transport.close)


class OneWrite:
    """The part of a transport that an answer uses. It sends an answer's head together with the first part of the body.

    A second write would cost 30 µs of CPU an upload, and wake the client twice. A head without a body is sent in the
    next iteration of the event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None
        self._is_begun = False

    def write(self, data: bytes) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._held = data
            self._loop.call_soon(self._flush)
        elif self._held is not None:
            held, self._held = self._held, None
            self._transport.write(held + data)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._transport.write(held)
