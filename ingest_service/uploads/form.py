"""Parses multipart/form-data (RFC 7578, RFC 2046), part by part while it arrives or as a whole.

    form   = [CRLF] "--" boundary *(CRLF part CRLF "--" boundary) "--" *OCTET
    part   = 1*(name ":" value CRLF) CRLF content

A name consists of letters, digits, `-` and `_`. A value is UTF-8 without CR, LF and NUL, so no header is folded. The
content ends before the next CRLF "--" boundary. Exactly one header is a Content-Disposition, of type `form-data`.

How the body is cut into pieces does not change the result. The package `multipart` fails at that: it looks for a bare
LF only before the first CRLF. We use its reading of `name` and `filename` alone, which clients quote in several ways.
The framework's parser writes files to disk and accepts text fields of any size. This one keeps one piece in memory.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import NamedTuple

from multipart import parse_content_disposition  # type: ignore[import-untyped] # it has no types

from ingest_service.errors import RefusedError

MAX_PARTS = 64  # more than there are options
MAX_HEADERS_BYTES = 8 << 10  # of one part, in total
MAX_FIELD_BYTES = 64 << 10  # of one option, such as `metadata`
OVERHEAD_BYTES = MAX_PARTS * (MAX_FIELD_BYTES + MAX_HEADERS_BYTES)  # the most that a form adds to its audio
BOUNDARY = re.compile(r"[ -~]{1,200}")  # RFC 2046 allows 70 characters; the limit bounds the search in each piece
HEADER = re.compile(r"([A-Za-z0-9_-]+):[ \t]*([^\r\n\0]*)")
LENGTH = re.compile(r"0|[1-9][0-9]{0,17}")


class PartHead(NamedTuple):
    """The headers of a part; `length_bytes` is its Content-Length, if it has one."""

    name: str
    filename: str | None
    length_bytes: int | None


Event = PartHead | bytes | None  # the head of a part, non-empty pieces of its content, None at its end


class FormPart:
    """A part of a form that is arriving. Read its bytes once, before the next part."""

    def __init__(self, head: PartHead, events: AsyncIterator[Event]) -> None:
        self.name = head.name
        self.filename = head.filename
        self._events = events

    async def stream(self) -> AsyncIterator[bytes]:
        """The part's bytes as they arrive."""
        async for event in self._events:
            if not isinstance(event, bytes):
                return  # None: the part is complete
            yield event

    async def text(self) -> str:
        """The whole of a text field."""
        data = bytearray()
        async for piece in self.stream():
            data += piece
            if len(data) > MAX_FIELD_BYTES:
                break
        return _text(self.name, data)

    async def skip(self) -> None:
        """Read the part to its end, and keep nothing."""
        async for _ in self.stream():
            pass


class WholePart(NamedTuple):
    """A part of a form that is in memory."""

    name: str
    filename: str | None
    content: bytes

    def text(self) -> str:
        """The content of a text field."""
        return _text(self.name, self.content)


async def read_form(body: AsyncIterator[bytes], boundary: str, max_parts: int = MAX_PARTS) -> AsyncIterator[FormPart]:
    """Yield the parts in order. Read each to its end. RefusedError `invalid_form` if the form is malformed."""
    events = _events(body, FormParser(boundary, max_parts))
    async for event in events:
        if isinstance(event, PartHead):
            yield FormPart(event, events)


async def _events(body: AsyncIterator[bytes], parser: "FormParser") -> AsyncIterator[Event]:
    async for piece in body:  # the epilogue too, so that the client can finish sending
        for event in parser.push(piece):
            yield event
    parser.end()


def split_form(body: bytes, boundary: str, max_parts: int = MAX_PARTS) -> list[WholePart]:
    """Return the parts of a whole form; raises the RefusedError `invalid_form` that `read_form` raises."""
    parser = FormParser(boundary, max_parts)
    parts: list[WholePart] = []
    content: list[bytes] = []
    head: PartHead | None = None
    for event in parser.push(body):
        if isinstance(event, bytes):
            content.append(event)
        elif event:
            head, content = event, []
        elif head:
            parts.append(WholePart(head.name, head.filename, b"".join(content)))
    parser.end()
    return parts


def _text(name: str, data: bytes | bytearray) -> str:
    if len(data) > MAX_FIELD_BYTES:
        raise RefusedError("invalid_option", f"`{name[:64]}` may have at most {MAX_FIELD_BYTES} bytes.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RefusedError("invalid_option", f"`{name[:64]}` must be UTF-8 text.") from None


class FormParser:
    """A push parser. Raises RefusedError `invalid_form` at the first byte that is certainly wrong."""

    def __init__(self, boundary: str, max_parts: int = MAX_PARTS) -> None:
        if not BOUNDARY.fullmatch(boundary):
            raise _malformed("The boundary must have 1 to 200 characters of printable ASCII")
        self._delimiter = b"\r\n--" + boundary.encode()
        self._data = b""  # consumed up to `_at`
        self._at = 0
        self._step: Callable[[], Iterable[Event] | None] = self._begin  # returns None when it needs more bytes
        self._parts = 0
        self._max_parts = max_parts
        self._expected_bytes: int | None = None
        self._received_bytes = 0

    def push(self, piece: bytes) -> Iterator[Event]:
        """The events of the next piece. Read them all before the next push."""
        self._data += piece
        while (events := self._step()) is not None:
            yield from events
        self._data, self._at = self._data[self._at :], 0

    def end(self) -> None:
        """Finish. Raises RefusedError if the form is incomplete."""
        if self._step != self._epilogue:
            raise _malformed("It ends before its last boundary")

    def _begin(self) -> Iterable[Event] | None:
        """The first boundary, after at most one line break."""
        opening = self._delimiter[0 if self._data.startswith(b"\r") else 2 :]
        if not opening.startswith(self._data[: len(opening)]):
            raise _malformed("It does not begin with the boundary of its Content-Type")
        return self._after_boundary(len(opening), ())

    def _headers(self) -> Iterable[Event] | None:
        end = self._data.find(b"\r\n\r\n", self._at, self._at + MAX_HEADERS_BYTES)
        if end < 0:
            if len(self._data) - self._at >= MAX_HEADERS_BYTES:
                raise _malformed(f"The headers of a part are longer than {MAX_HEADERS_BYTES} bytes")
            return None
        head = read_head(self._data[self._at + 2 : end])
        self._at, self._step = end + 4, self._content
        self._expected_bytes, self._received_bytes = head.length_bytes, 0
        return (head,)

    def _content(self) -> Iterable[Event] | None:
        found = self._data.find(self._delimiter, self._at)
        end = found if found >= 0 else self._end_of_content()
        if end > self._at:
            content = self._data[self._at : end]
            self._at = end
            self._received_bytes += len(content)
            return (content,)
        return None if found < 0 else self._after_boundary(found + len(self._delimiter), (None,))

    def _end_of_content(self) -> int:
        """Where a delimiter could begin that the next piece completes, or the end of the data."""
        begin = self._data.rfind(b"\r", max(self._at, len(self._data) - len(self._delimiter)))
        return begin if begin >= 0 and self._delimiter.startswith(self._data[begin:]) else len(self._data)

    def _after_boundary(self, at: int, ended: tuple[Event, ...]) -> Iterable[Event] | None:
        """The two bytes that say whether another part follows. `ended`: the events of the boundary."""
        following = self._data[at : at + 2]
        if len(following) < 2:
            return None
        if self._expected_bytes not in {None, self._received_bytes}:
            raise _malformed("The length of a part differs from its Content-Length")
        if following == b"--":
            self._at, self._step = at + 2, self._epilogue
        elif following == b"\r\n":
            self._count_part()
            self._at, self._step = at, self._headers  # the headers begin with this line break
        else:
            raise _malformed("A boundary must be followed by a line break or two hyphens")
        return ended

    def _count_part(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
            raise _malformed(f"It has more than {self._max_parts} parts")

    def _epilogue(self) -> None:
        self._at = len(self._data)


def read_head(headers: bytes) -> PartHead:
    """Parse a part's headers, without the empty line. RefusedError `invalid_form` if they are malformed."""
    fields = [_field(line) for line in _decoded(headers).split("\r\n")]
    dispositions = [value for name, value in fields if name == "content-disposition"]
    kind, name, filename = parse_content_disposition(dispositions[0]) if len(dispositions) == 1 else (None, None, None)
    if kind != "form-data":
        raise _malformed("A part must have one Content-Disposition of type form-data")
    lengths = [value for name, value in fields if name == "content-length"]
    if len(lengths) > 1 or not all(map(LENGTH.fullmatch, lengths)):
        raise _malformed("The Content-Length of a part must be one number")
    return PartHead(name or "", filename, int(lengths[0]) if lengths else None)


def _decoded(headers: bytes) -> str:
    try:
        return headers.decode()
    except UnicodeDecodeError:
        raise _malformed("A header of a part is not UTF-8") from None


def _field(line: str) -> tuple[str, str]:
    match = HEADER.fullmatch(line)
    if match is None:
        raise _malformed("A header of a part must be a name, a colon and one line of text")
    return match[1].lower(), match[2]


def _malformed(why: str) -> RefusedError:
    return RefusedError("invalid_form", f"Malformed form: {why}.")
