"""uvicorn's HTTP protocol, with timeouts and bounds for what happens before and after the application.

uvicorn waits for a request's head forever, stores any number of headers, trailers and pipelined requests, and keeps an
answer as long as the client does not read it. A client could use our memory and sockets at the cost of a few bytes.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest_service.middleware.problems import plain_problem
from ingest_service.uploads.body import MIN_WINDOW_BYTES

HEAD_TIMEOUT_S = 20.0  # for a complete head, from the connection or the last answer on; as long as a body may stall
MAX_HEAD_BYTES = 32 << 10  # request line, headers and trailers; the query may hold options
MAX_HEADERS = 100
MAX_PIPELINED = 8  # requests that wait for the current one
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
    _head_bytes = 0
    _unparsed_bytes = 0  # bytes since the last complete head or part of a body, for which no callback came
    _refusal = "invalid_request"
    _ended = False  # further bytes are discarded

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        super().connection_made(transport)
        self._set_head_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_deadline, self._unread_deadline):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._refuse("head_too_large")
        elif self._in_head or not self._is_busy:  # idle: only empty lines came, which begin no message
            self._set_head_deadline()

    # --- callbacks of the parser: an exception stops it, and uvicorn calls send_400_response ---

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count_head_bytes(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head_bytes(len(name) + len(value) + 4)
        if len(self.headers) >= MAX_HEADERS:
            raise self._refused("head_too_large")
        if self._in_head:  # drop trailers: they must not count as headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unparsed_bytes = 0
        self._cancel_head_deadline()
        if len(self.pipeline) >= MAX_PIPELINED:
            raise self._refused("invalid_request")
        if upgrades := self.parser.should_upgrade():
            self._refuse_body()
        super().on_headers_complete()
        self.cycle.transport = OneWrite(self.transport, self.loop)  # type: ignore[assignment] # has all that a cycle uses
        if upgrades:
            self.cycle.keep_alive = False  # no other protocol is supported, and the parser stops after this head

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        super().on_message_complete()

    def _count_head_bytes(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise self._refused("head_too_large")

    def _refuse_body(self) -> None:
        """Refuse a body after an upgrade: the parser treats it as another protocol, so the upload would seem empty."""
        if any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers):
            raise self._refused("unsupported_upgrade")

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
            self._answer_and_close(plain_problem(code).last_bytes())

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
