"""The body of a request as it comes off the socket: counted, timed, checked against its digests.

Reads ASGI messages directly. The framework's stream has no timeout and reports a closed connection as a server error.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from litestar.types import Receive

from ingest_service.errors import ClientGoneError, RefusedError

# The minimum rate of a body. A telephone modem is ten times as fast. A train leaves a tunnel within the window.
WINDOW_S = 20.0
MIN_WINDOW_BYTES = 10_000
SLICES = 4  # The window moves by one slice, so a stall is detected at most a quarter of a window late.


async def read_body(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the pieces of the body; none is empty.

    Raises ClientGoneError when the connection closes early, RefusedError `upload_stalled` when the body is too slow.
    """
    pace = Pace()
    more = True
    while more:
        piece, more = await _next(pace, receive)
        if piece:
            yield piece


async def read_small_body(receive: Receive, max_bytes: int, max_upload_bytes: int) -> bytes:
    """Return the whole body, without the cost of a stream. RefusedError `too_large` above `max_bytes`."""
    pace = Pace()
    body, more = await _next(pace, receive)
    if more:
        pieces, total = [body], len(body)
        while more and total <= max_bytes:
            piece, more = await _next(pace, receive)
            pieces.append(piece)
            total += len(piece)
        body = b"".join(pieces)
    if len(body) > max_bytes:
        raise too_large(max_upload_bytes)
    return body


async def limited(body: AsyncIterator[bytes], max_bytes: int, max_upload_bytes: int) -> AsyncIterator[bytes]:
    """Yield the first `max_bytes`, however the body is cut; raise RefusedError `too_large` if there are more."""
    left = max_bytes
    async for piece in body:
        if len(piece) > left:
            if left:
                yield piece[:left]
            raise too_large(max_upload_bytes)
        left -= len(piece)
        yield piece


def too_large(max_upload_bytes: int) -> RefusedError:
    """The error for an upload above the limit."""
    return RefusedError("too_large", f"An upload may have at most {max_upload_bytes} bytes.")


async def _next(pace: "Pace", receive: Receive) -> tuple[bytes, bool]:
    """A piece, which may be empty, and whether more follow."""
    message = await pace.receive(receive)
    if message["type"] != "http.request":
        raise ClientGoneError
    return message.get("body", b""), message.get("more_body", False)


class Pace:
    """Enforces the minimum rate of a body. Counts only the time spent waiting for the client."""

    def __init__(self, window_s: float | None = None, least_bytes: int | None = None) -> None:
        self._window_s = WINDOW_S if window_s is None else window_s
        self._least_bytes = MIN_WINDOW_BYTES if least_bytes is None else least_bytes
        self._slices = (self._least_bytes,) * (SLICES - 1)  # earlier slices; at first they count as full
        self._arrived = 0  # bytes in the current slice
        self._left_s = self._window_s / SLICES  # time left in the current slice

    async def receive(self, receive: Receive) -> Any:
        """Return the next message; RefusedError `upload_stalled` when a whole window brought too few bytes."""
        is_ready, message = run_first_step(receive())
        if not is_ready:
            message = await self._wait(message, receive)
        self._arrived += len(message.get("body", b""))
        return message

    async def _wait(self, pending: Any, receive: Receive) -> Any:
        clock = asyncio.get_running_loop().time
        while True:
            started_s = clock()
            try:
                async with asyncio.timeout(self._left_s):
                    message = await pending
            except TimeoutError:
                self._next_slice()
                pending = receive()
                continue
            self._left_s -= clock() - started_s
            return message

    def _next_slice(self) -> None:
        if self._arrived + sum(self._slices) < self._least_bytes:
            detail = f"Fewer than {self._least_bytes} bytes arrived in {self._window_s:.0f} s."
            raise RefusedError("upload_stalled", detail)
        self._slices = (*self._slices[1:], self._arrived)
        self._arrived = 0
        self._left_s = self._window_s / SLICES


# A timeout around every message costs 45 µs of CPU per upload. Most messages are ready at once and need none.

Steps = Generator[Any, Any, Any]


def run_first_step(awaitable: Awaitable[Any]) -> tuple[bool, Any]:
    """Return (True, result) if the awaitable did not wait, else (False, the rest to await). Raises what it raises."""
    steps: Any = awaitable.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as end:
        return True, end.value
    return False, StartedAwaitable(steps, waits_for)


class StartedAwaitable:
    """The rest of an awaitable that waits. Await it once, in the task that started it."""

    def __init__(self, steps: Steps, waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Steps:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    result = yield waits_for
                except BaseException as error:  # noqa: BLE001 - a cancellation, for example: the awaitable handles it
                    waits_for = self._steps.throw(error)
                else:
                    waits_for = self._steps.send(result)
        except StopIteration as end:
            return end.value


# `Content-Digest` and `Repr-Digest` (RFC 9530). No content coding is accepted, so both are digests of the body's bytes.

DIGEST_FIELDS = "`Content-Digest` and `Repr-Digest`"
MAX_MEMBERS = 16  # of a digest field; RFC 9530 registers fewer algorithms
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
# A member of a structured dictionary whose value is a byte sequence (RFC 9651, 3.2 and 3.3.5); parameters are ignored.
PARAMETER = r"[ ]*;[ ]*[a-z*][a-z0-9_.*-]*(?:=[A-Za-z0-9.*:/+=?\"-]*)?"
MEMBER = re.compile(rf"[ \t]*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={{0,2}}):(?:{PARAMETER})*[ \t]*")


class Digest(msgspec.Struct, frozen=True):
    """A digest that a request declares."""

    algorithm: str
    value: bytes


def with_checked_digests(receive: Receive, headers: Iterable[str]) -> Receive:
    """Wrap `receive`: the last message raises RefusedError `digest_mismatch` if the body differs from its digests.

    RefusedError `invalid_digest` is raised at once.
    """
    declared = [digest for header in headers for digest in parse_digests(header)]
    if not declared:
        return receive
    hashes = {digest.algorithm: ALGORITHMS[digest.algorithm]() for digest in declared}  # both fields share them

    async def checked() -> Any:
        message: Any = await receive()
        if message["type"] == "http.request":
            for running in hashes.values():
                running.update(message.get("body", b""))
            if not message.get("more_body", False):
                _compare(declared, {algorithm: running.digest() for algorithm, running in hashes.items()})
        return message

    return checked


def parse_digests(header: str) -> list[Digest]:
    """The digests of known algorithms in a header; others are ignored. RefusedError `invalid_digest`.

    An algorithm that is named twice is refused: hashing the body once for each name would stop the event loop.
    """
    if header.count(",") >= MAX_MEMBERS:
        raise RefusedError("invalid_digest", f"{DIGEST_FIELDS} may have {MAX_MEMBERS} members.")
    members = [MEMBER.fullmatch(member) for member in header.split(",")] if header.strip() else []
    names = [match[1] for match in map(_present, members)]
    if len(names) > len(set(names)):
        raise RefusedError("invalid_digest", f"{DIGEST_FIELDS} may name each algorithm once.")
    return [_digest(match[1], match[2]) for match in map(_present, members) if match[1] in ALGORITHMS]


def _compare(declared: Sequence[Digest], found: Mapping[str, bytes]) -> None:
    for digest in declared:
        if not hmac.compare_digest(digest.value, found[digest.algorithm]):
            raise RefusedError("digest_mismatch", f"The {digest.algorithm} digest does not match the content.")


def _present(match: re.Match[str] | None) -> re.Match[str]:
    if match is None:
        raise RefusedError("invalid_digest", f"{DIGEST_FIELDS} must be `sha-256=:base64:` or `sha-512=:base64:`.")
    return match


def _digest(algorithm: str, text: str) -> Digest:
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        value = b""
    if len(value) != ALGORITHMS[algorithm]().digest_size:
        raise RefusedError("invalid_digest", f"{DIGEST_FIELDS} must have the base64 of a whole {algorithm} digest.")
    return Digest(algorithm, value)
