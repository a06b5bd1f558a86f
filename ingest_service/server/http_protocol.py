"""HTTP on the ingest's sockets: uvicorn's protocol with deadlines and limits for what no application gets to see.

uvicorn waits for the head of a request for ever, keeps headers, trailers and pipelined requests of any number, and
holds an answer for as long as nobody takes it. What costs a client a few bytes would cost us memory and sockets.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest_service.middleware.problems import plain_problem
from ingest_service.uploads.body import LEAST_BYTES

# Sends the head of an answer together with what follows it, by one system call and in one packet.
#
# Worth its lines: a second write costs 30 µs of CPU an upload here, and wakes the client once more.


class OneWrite:
    """What an answer needs of a transport. A head that nothing follows at once goes out when the loop turns."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None
        self._has_held = False

    def write(self, data: bytes) -> None:
        if not self._has_held:
            self._has_held = True
            self._held = data
            self._loop.call_soon(self._let_go)
        elif self._held is not None:
            held, self._held = self._held, None
            self._transport.write(held + data)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._let_go()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _let_go(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._transport.write(held)


HEAD_TIMEOUT_S = 20.0  # for a whole head, and for a new connection to send one: as long as a body may stand still
MAX_HEAD_BYTES = 32 << 10  # request line, headers and trailers; options in a query are part of it
MAX_HEADERS = 100
MAX_PIPELINED = 8  # requests that wait behind the one at work
FAREWELL_S = 2.0  # for a client to read why its connection is closed
UNREAD_TIMEOUT_S = 60.0  # in which LEAST_BYTES of an answer must be taken; kernels open a full window in large steps


class _RefusedHeadError(Exception):
    """Stops the parser; `code` is one of `problems.PROBLEMS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Well-formed requests of before are still answered when it is to be closed."""

    _head_deadline: asyncio.TimerHandle | None = None
    _unread_deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _head_bytes = 0
    _unseen_bytes = 0  # that came since the last whole head or piece of a body: no callback has told us of them
    _refusal = "invalid_request"
    _ended = False  # whatever comes now is thrown away

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_deadline, self._unread_deadline):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._unseen_bytes += len(data)
        super().data_received(data)
        if self._unseen_bytes > MAX_HEAD_BYTES:
            self._refuse("head_too_large")
        elif self._in_head or not self._is_at_work:  # the latter: empty lines, which begin no message
            self._expect_head()

    # --- what the parser tells: an exception stops it, and uvicorn calls send_400_response ---

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= MAX_HEADERS:
            raise self._refused("head_too_large")
        if self._in_head:  # a trailer must not pass for a header, and nobody asked for it
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unseen_bytes = 0
        self._stop_expecting()
        if len(self.pipeline) >= MAX_PIPELINED:
            raise self._refused("invalid_request")
        if upgrades := self.parser.should_upgrade():
            self._refuse_body()
        super().on_headers_complete()
        self.cycle.transport = OneWrite(self.transport, self.loop)  # type: ignore[assignment] # all that a cycle uses of it
        if upgrades:
            self.cycle.keep_alive = False  # we speak nothing else, and the parser stops behind this head

    def on_body(self, body: bytes) -> None:
        self._unseen_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unseen_bytes = 0
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise self._refused("head_too_large")

    def _refuse_body(self) -> None:
        """The parser takes what comes behind such a head for another protocol: the upload would seem to be empty."""
        if any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers):
            raise self._refused("unsupported_upgrade")

    def _refused(self, code: str) -> _RefusedHeadError:
        self._refusal = code
        return _RefusedHeadError(code)

    # --- deadlines ---

    def _expect_head(self) -> None:
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up_head)

    def _stop_expecting(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _give_up_head(self) -> None:
        if self._in_head or self._is_at_work:
            self._refuse("request_stalled")
        else:
            self.transport.close()  # an answer to nothing might be taken for that to the next request

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        if self._unread_deadline is not None:
            self._unread_deadline.cancel()
            self._unread_deadline = None
        super().resume_writing()

    def _expect_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._unread_deadline = self.loop.call_later(UNREAD_TIMEOUT_S, self._check_reader, unread)

    def _check_reader(self, unread_before: int) -> None:
        if unread_before - self.transport.get_write_buffer_size() < LEAST_BYTES:
            self.transport.abort()
        else:
            self._expect_reader()

    # --- refusing ---

    @property
    def _is_at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, of which ours take the place
        """Called by uvicorn when the parser stopped."""
        self._refuse(self._refusal)

    def _refuse(self, code: str) -> None:
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._stop_expecting()
        if self._is_at_work and not self.cycle.more_body:
            self.cycle.keep_alive = False  # what is wrong came behind whole requests: they have their answers first
        elif self._is_at_work and (self.cycle.response_started or self.pipeline):
            self.transport.abort()  # no answer can be told from the one under way
        else:
            self._abandon_request()
            self._say_farewell(plain_problem(code).last_bytes())

    def _abandon_request(self) -> None:
        if self._is_at_work:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _say_farewell(self, answer: bytes) -> None:
        """Answer, then read on for a moment: closing with unread bytes would reset the answer away."""
        self.transport.write(answer)
        self.transport.write_eof()
        self._head_deadline = self.loop.call_later(FAREWELL_S, self.transport.close)
