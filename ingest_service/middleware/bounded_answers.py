"""Bounds the memory of answers that clients do not read: large bodies are sent in pieces, and counted until sent.

Above the bound the connection that has waited longest is closed: one of the tenant whose clients leave most unread. A
client that reads at a usual rate is never the one. Small answers and uploads cost nothing here.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from ingest_service.auth.caller import CALLER_KEY
from ingest_service.telemetry.metrics import ANSWERS_ABORTED
from shared.telemetry.logs import Log

log = Log(__name__)

ABORT_KEY = "headrace.abort"  # in the ASGI scope: the function that closes the connection at once
PIECE_BYTES = 64 << 10  # the most that is written before the client has read what was written before
GRACE_S = 2.0  # no answer is given up earlier


class HeldAnswer:
    """A body that is being sent."""

    def __init__(self, tenant: str, size: int, abort: Callable[[], None]) -> None:
        self.tenant = tenant
        self.size = size
        self.abort = abort
        self.since_s = asyncio.get_running_loop().time()
        self.is_aborted = False


class HeldAnswers:
    """All bodies that a process is sending."""

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self.most_bytes = 0
        self._max_bytes = max_bytes
        self._held: dict[HeldAnswer, None] = {}  # oldest first
        self._check: asyncio.TimerHandle | None = None

    def add(self, answer: HeldAnswer) -> None:
        """Count an answer, and close connections if there is too much now."""
        self._held[answer] = None
        self.bytes += answer.size
        self.most_bytes = max(self.most_bytes, self.bytes)
        self._abort_some()

    def remove(self, answer: HeldAnswer) -> None:
        """Stop counting an answer."""
        if answer in self._held:
            del self._held[answer]
            self.bytes -= answer.size

    def _abort_some(self) -> None:
        self._check = None
        while self.bytes > self._max_bytes:
            oldest = self._oldest_of_largest_tenant()
            left_s = oldest.since_s + GRACE_S - asyncio.get_running_loop().time()
            if left_s > 0:
                if self._check is None:
                    self._check = asyncio.get_running_loop().call_later(left_s, self._abort_some)
                return
            self._abort(oldest)

    def _oldest_of_largest_tenant(self) -> HeldAnswer:
        sizes: Counter[str] = Counter()
        for answer in self._held:
            sizes[answer.tenant] += answer.size
        (largest, _) = sizes.most_common(1)[0]
        return next(answer for answer in self._held if answer.tenant == largest)

    def _abort(self, answer: HeldAnswer) -> None:
        log.warning("answer_aborted", tenant=answer.tenant, unread_bytes=answer.size, bound_bytes=self._max_bytes)
        ANSWERS_ABORTED.inc()
        answer.is_aborted = True
        self.remove(answer)
        answer.abort()


def with_bounded_answers(app: ASGIApp, held: HeldAnswers) -> ASGIApp:
    """Wrap an ASGI application."""

    def bounded(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        def send_bounded(message: Any) -> Awaitable[None]:
            if len(message.get("body", b"")) <= PIECE_BYTES:
                return send(message)
            return _send_in_pieces(held, scope, send, message)

        return app(scope, receive, send_bounded)

    return bounded


async def _send_in_pieces(held: HeldAnswers, scope: Any, send: Send, message: Any) -> None:
    caller = scope.get(CALLER_KEY)
    body, more_body = memoryview(message["body"]), message.get("more_body", False)
    answer = HeldAnswer(caller.tenant if caller else "", len(body), scope.get(ABORT_KEY) or (lambda: None))
    held.add(answer)
    try:
        for start in range(0, len(body), PIECE_BYTES):
            if answer.is_aborted:
                return
            end = start + PIECE_BYTES
            piece = bytes(body[start:end])
            await send({"type": "http.response.body", "body": piece, "more_body": more_body or end < len(body)})
    finally:
        held.remove(answer)
