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
from ingest_service.server.exchange import Exchange, head_of
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
    _idle_check: asyncio.TimerHandle | None = None
    _idle_since_s = 0.0
    _in_head = False
    _is_between = True  # the next byte begins a request
    _line: bytes | None = None  # of a request line that is not complete yet
    _is_head_method = False  # an answer to HEAD has no body
    _seen_single: set[bytes]
    cycle: Exchange
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
        for timer in (self._head_deadline, self._idle_check, self._unread_deadline):
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
        name = name.lower()
        if name in SINGLE:
            if name in self._seen_single:
                raise self._refused("invalid_request")
            self._seen_single.add(name)
            self.expect_100_continue |= name == b"expect" and value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unparsed_bytes = 0
        self._framing_bytes -= self._head_bytes
        self._cancel_head_deadline()
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self._is_head_method = method == b"HEAD"
        if not is_valid_head(self.url, version, method, self.headers):
            raise self._refused("invalid_request")
        if self._is_surplus:
            self._require_health_check()
        if len(self.pipeline) >= MAX_PIPELINED:
            raise self._refused("invalid_request")
        if upgrades := self.parser.should_upgrade():
            self._refuse_body()
        # After an upgrade: no other protocol is supported, and the parser stops after this head.
        keep_alive = version != "1.0" and self.parser.should_keep_alive() and not (upgrades or self._is_surplus)
        self.scope.update(head_of(self.url, method, version))
        self._begin_exchange(keep_alive=keep_alive)

    def _begin_exchange(self, *, keep_alive: bool) -> None:
        """Start the application, or let the request wait for the answers before it."""
        is_busy = self._is_busy
        self.cycle = Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if is_busy:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        self._framing_bytes -= (1 + FRAMING_PER_BYTE) * len(body)
        if not self.cycle.response_complete:
            self.cycle.add(body)

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

    def on_response_complete(self) -> None:
        """Start the next request, or wait for one. One timer serves all pauses of a connection."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since_s = self.loop.time()
        if self._idle_check is None:
            self._idle_check = self.loop.call_later(self.timeout_keep_alive, self._check_idle)

    def _check_idle(self) -> None:
        self._idle_check = None
        if self._is_busy or self._in_head or self._head_deadline is not None:
            return  # other bounds apply, and the next answer sets this timer again
        left_s = self._idle_since_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._idle_check = self.loop.call_later(left_s, self._check_idle)
        else:
            self.transport.close()

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
