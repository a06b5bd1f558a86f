"""Parses multipart/form-data (RFC 7578, RFC 2046) as it arrives. One grammar: where the body is cut changes no verdict.

    form   = [CRLF] "--" boundary *(CRLF part CRLF "--" boundary) "--" *OCTET
    part   = 1*(name ":" value CRLF) CRLF content

A name consists of letters, digits, `-` and `_`; a value is UTF-8 without CR, LF and NUL, so no header is folded. The
content ends before the next CRLF "--" boundary. Exactly one header is a Content-Disposition, of type `form-data`.

The push parser of the package `multipart` looks for a bare LF only where no CRLF has arrived yet, so its verdict
depends on the cuts. Only its reading of the parameters `name` and `filename` is used: clients quote them differently.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from multipart import parse_content_disposition  # type: ignore[import-untyped] # it has no types

from ingest_service.errors import RefusedError

MAX_PARTS = 64  # there are fewer options
MAX_HEADERS_BYTES = 8 << 10  # of a part, all together
BOUNDARY = re.compile(r"[ -~]{1,200}")  # RFC 2046 allows 70 of fewer; each piece of the body is searched for it
HEADER = re.compile(r"([A-Za-z0-9_-]+):[ \t]*([^\r\n\0]*)")
LENGTH = re.compile(r"0|[1-9][0-9]{0,17}")


class PartHead(NamedTuple):
    """What the headers of a part say; `length_bytes` only where they do."""

    name: str
    filename: str | None
    length_bytes: int | None


Event = PartHead | bytes | None  # the head of a part, pieces of its content (none is empty), and None at its end


class FormParser:
    """The state between two pieces. RefusedError `invalid_form` is raised where the first wrong byte is certain."""

    def __init__(self, boundary: str) -> None:
        if not BOUNDARY.fullmatch(boundary):
            raise _malformed("The boundary is longer than 200 characters, or not of printable ASCII")
        self._delimiter = b"\r\n--" + boundary.encode()
        self._data = b""  # not consumed before `_at`
        self._at = 0
        self._step: Callable[[], Iterable[Event] | None] = self._begin  # None: it needs more bytes
        self._parts = 0
        self._expected_bytes: int | None = None
        self._received_bytes = 0

    def push(self, piece: bytes) -> Iterator[Event]:
        """What the next piece brings. It must be read to its end before the next push."""
        self._data += piece
        while (events := self._step()) is not None:
            yield from events
        self._data, self._at = self._data[self._at :], 0

    def end(self) -> None:
        """The body has ended. Raises RefusedError unless the form has, too."""
        if self._step != self._epilogue:
            raise _malformed("It ends before its last boundary")

    def _begin(self) -> Iterable[Event] | None:
        """The first boundary, which a line break may precede and nothing else."""
        opening = self._delimiter[0 if self._data.startswith(b"\r") else 2 :]
        if not opening.startswith(self._data[: len(opening)]):
            raise _malformed("It does not begin with the boundary that its type names")
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
        end = found if found >= 0 else self._surely_content()
        if end > self._at:
            content = self._data[self._at : end]
            self._at = end
            self._received_bytes += len(content)
            return (content,)
        return None if found < 0 else self._after_boundary(found + len(self._delimiter), (None,))

    def _surely_content(self) -> int:
        """Where a delimiter could begin that the next piece goes on with, or the end."""
        begin = self._data.rfind(b"\r", max(self._at, len(self._data) - len(self._delimiter)))
        return begin if begin >= 0 and self._delimiter.startswith(self._data[begin:]) else len(self._data)

    def _after_boundary(self, at: int, ended: tuple[Event, ...]) -> Iterable[Event] | None:
        """The two bytes that say whether another part follows. `ended` is what the boundary ends."""
        following = self._data[at : at + 2]
        if len(following) < 2:
            return None
        if self._expected_bytes not in {None, self._received_bytes}:
            raise _malformed("A part is not as long as its Content-Length says")
        if following == b"--":
            self._at, self._step = at + 2, self._epilogue
        elif following == b"\r\n":
            self._count_part()
            self._at, self._step = at, self._headers  # which begin with this line break
        else:
            raise _malformed("A boundary is followed by neither a line break nor two hyphens")
        return ended

    def _count_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _malformed(f"It has more than {MAX_PARTS} parts")

    def _epilogue(self) -> None:
        self._at = len(self._data)


def read_head(headers: bytes) -> PartHead:
    """The meaning of a part's headers, without the empty line. RefusedError `invalid_form` if they are malformed."""
    fields = [_field(line) for line in _decoded(headers).split("\r\n")]
    dispositions = [value for name, value in fields if name == "content-disposition"]
    kind, name, filename = parse_content_disposition(dispositions[0]) if len(dispositions) == 1 else (None, None, None)
    if kind != "form-data":
        raise _malformed("A part has not one Content-Disposition of type form-data")
    lengths = [value for name, value in fields if name == "content-length"]
    if len(lengths) > 1 or not all(map(LENGTH.fullmatch, lengths)):
        raise _malformed("The Content-Length of a part is not one number")
    return PartHead(name or "", filename, int(lengths[0]) if lengths else None)


def _decoded(headers: bytes) -> str:
    try:
        return headers.decode()
    except UnicodeDecodeError:
        raise _malformed("A header of a part is not UTF-8") from None


def _field(line: str) -> tuple[str, str]:
    match = HEADER.fullmatch(line)
    if match is None:
        raise _malformed("A header of a part is not a name, a colon and one line of text")
    return match[1].lower(), match[2]


def _malformed(why: str) -> RefusedError:
    return RefusedError("invalid_form", f"The form is malformed: {why}.")
