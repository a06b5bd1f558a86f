"""The request's body as it comes off the socket, counted and timed; the first step of every upload.

Reads ASGI messages itself, since the framework's stream knows no timeout and calls a vanished client an internal error.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Sequence
from typing import Any

import msgspec
from litestar.types import Receive

from ingest_service.errors import ClientGoneError, RefusedError

# Takes the first step of something awaitable at once: what need not wait is over then, and nobody has to watch it.
#
# Worth its lines: a time-out around each message of a body costs 45 µs of CPU an upload, and most are there already.

Steps = Generator[Any, Any, Any]


class Begun:
    """What is left of an awaitable that waits for something; to be awaited once, by the task that began it."""

    def __init__(self, steps: Steps, waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Steps:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    came = yield waits_for
                except BaseException as error:  # noqa: BLE001 - cancelled, for one: that is the awaitable's to know
                    waits_for = self._steps.throw(error)
                else:
                    waits_for = self._steps.send(came)
        except StopIteration as end:
            return end.value


def begin(awaitable: Awaitable[Any]) -> tuple[bool, Any]:
    """True and its result, when it did not wait; else False and what to await instead. Raises what it raises."""
    steps: Any = awaitable.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as end:
        return True, end.value
    return False, Begun(steps, waits_for)


# Checks the digests that a request declares of its content, `Content-Digest` and `Repr-Digest` (RFC 9530).
#
# We take no content coding, so both are of the bytes of the body as they come off the socket, a form's too.

ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
# A member of a structured dictionary whose value is a byte sequence (RFC 9651, 3.2 and 3.3.5); parameters are ignored.
PARAMETER = r"[ ]*;[ ]*[a-z*][a-z0-9_.*-]*(?:=[A-Za-z0-9.*:/+=?\"-]*)?"
MEMBER = re.compile(rf"[ \t]*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={{0,2}}):(?:{PARAMETER})*[ \t]*")


class Digest(msgspec.Struct, frozen=True):
    """A digest that a request declares."""

    algorithm: str
    value: bytes


def parse_digests(header: str) -> list[Digest]:
    """The digests that we know of a header; others are ignored. RefusedError `invalid_digest`."""
    members = [MEMBER.fullmatch(member) for member in header.split(",")] if header.strip() else []
    return [_digest(match[1], match[2]) for match in map(_present, members) if match[1] in ALGORITHMS]


def with_checked_digests(receive: Receive, headers: Iterable[str]) -> Receive:
    """A `receive` whose last message comes only if the whole body is as declared.

    It raises RefusedError `digest_mismatch` in its stead; RefusedError `invalid_digest` comes at once.
    """
    declared = [digest for header in headers for digest in parse_digests(header)]
    if not declared:
        return receive
    hashes = [ALGORITHMS[digest.algorithm]() for digest in declared]

    async def checked() -> Any:
        message: Any = await receive()
        if message["type"] == "http.request":
            for running in hashes:
                running.update(message.get("body", b""))
            if not message.get("more_body", False):
                _compare(declared, [running.digest() for running in hashes])
        return message

    return checked


def _compare(declared: Sequence[Digest], found: Sequence[bytes]) -> None:
    for digest, value in zip(declared, found, strict=True):
        if not hmac.compare_digest(digest.value, value):
            raise RefusedError("digest_mismatch", f"The {digest.algorithm} of the content is not the declared one.")


def _present(match: re.Match[str] | None) -> re.Match[str]:
    if match is None:
        raise RefusedError("invalid_digest", "A digest field is not a list like `sha-256=:base64:`.")
    return match


def _digest(algorithm: str, text: str) -> Digest:
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        value = b""
    if len(value) != ALGORITHMS[algorithm]().digest_size:
        raise RefusedError("invalid_digest", f"The {algorithm} digest does not have its length.")
    return Digest(algorithm, value)


# Whoever sends more slowly holds a connection on purpose, or will not be done this week: a telephone modem brings ten
# times as much. A train in a tunnel is back within the window.
WINDOW_S = 20.0
LEAST_BYTES = 10_000
SLICES = 4  # of the window, which moves on by one of them: it is noticed a quarter of a window late at most


def too_large(max_upload_bytes: int) -> RefusedError:
    """The refusal of an upload over the limit."""
    return RefusedError("too_large", f"An upload may have at most {max_upload_bytes} bytes.")


class Pace:
    """The least rate of a body. Counts only the time that we wait for the client, not what the blob store takes."""

    def __init__(self, window_s: float | None = None, least_bytes: int | None = None) -> None:
        self._window_s = WINDOW_S if window_s is None else window_s
        self._least_bytes = LEAST_BYTES if least_bytes is None else least_bytes
        self._slices = (self._least_bytes,) * (SLICES - 1)  # those before, as if all had been well
        self._arrived = 0  # in the slice at hand
        self._left_s = self._window_s / SLICES  # of it

    async def receive(self, receive: Receive) -> Any:
        """The next message; RefusedError `upload_stalled` when a whole window brought too little."""
        is_here, message = begin(receive())
        if not is_here:
            message = await self._wait(message, receive)
        self._arrived += len(message.get("body", b""))
        return message

    async def _wait(self, begun: Any, receive: Receive) -> Any:
        clock = asyncio.get_running_loop().time
        while True:
            began_s = clock()
            try:
                async with asyncio.timeout(self._left_s):
                    message = await begun
            except TimeoutError:
                self._next_slice()
                begun = receive()
                continue
            self._left_s -= clock() - began_s
            return message

    def _next_slice(self) -> None:
        if self._arrived + sum(self._slices) < self._least_bytes:
            detail = f"Fewer than {self._least_bytes} bytes arrived in {self._window_s:.0f} s."
            raise RefusedError("upload_stalled", detail)
        self._slices = (*self._slices[1:], self._arrived)
        self._arrived = 0
        self._left_s = self._window_s / SLICES


async def read_body(receive: Receive) -> AsyncIterator[bytes]:
    """The pieces of the body, none of them empty.

    Raises ClientGoneError when the connection closes early, RefusedError `upload_stalled` when it comes too slowly.
    """
    pace = Pace()
    more = True
    while more:
        piece, more = await _next(pace, receive)
        if piece:
            yield piece


async def read_small_body(receive: Receive, max_bytes: int, max_upload_bytes: int) -> bytes:
    """The same as a whole, without a stream: ten thousand may be open. RefusedError `too_large` above `max_bytes`."""
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


async def _next(pace: Pace, receive: Receive) -> tuple[bytes, bool]:
    """A piece, which may be empty, and whether more comes."""
    message = await pace.receive(receive)
    if message["type"] != "http.request":
        raise ClientGoneError
    return message.get("body", b""), message.get("more_body", False)


async def limited(body: AsyncIterator[bytes], max_bytes: int, max_upload_bytes: int) -> AsyncIterator[bytes]:
    """The first `max_bytes` of the body, wherever its pieces end; then RefusedError `too_large` if there is more."""
    left = max_bytes
    async for piece in body:
        if len(piece) > left:
            if left:
                yield piece[:left]
            raise too_large(max_upload_bytes)
        left -= len(piece)
        yield piece
