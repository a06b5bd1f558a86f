"""Walks a multipart/form-data body part by part while it arrives; nothing of it is kept but the part at hand.

The framework's own form parser spools files to disk and takes text fields of any size into memory, so the push parser
under it is driven by hand, with limits on everything.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from multipart import MultipartError, MultipartSegment, PushMultipartParser  # type: ignore[import-untyped] # it has no types

from ingest_service.errors import RefusedError
from ingest_service.receive.lone_part import lone_part

MAX_FIELD_BYTES = 64 << 10  # of one option, such as `metadata`
MAX_PARTS = 64  # there are fewer options
MAX_BOUNDARY_CHARS = 200  # RFC 2046 allows 70; each piece of the body is searched for it
MAX_HEADER_CHARS = 4000  # of a part, name and value; somewhat less than where the parser draws the line
OVERHEAD_BYTES = MAX_PARTS * (MAX_FIELD_BYTES + (8 << 10))  # what a form may have beside its audio: fields and headers

Event = Any  # MultipartSegment, then its bytes, then None; the library is not typed


class FormPart:
    """One part of the form: its name, the file name it claims, and its bytes, to be read once and before the next."""

    def __init__(self, segment: MultipartSegment, events: AsyncIterator[Event]) -> None:
        self.name = segment.name or ""
        self.filename = segment.filename
        self._events = events

    async def stream(self) -> AsyncIterator[bytes]:
        """The part's bytes as they arrive."""
        async for event in self._events:
            if not isinstance(event, (bytes, bytearray)):
                return  # None: the part is complete
            yield bytes(event)

    async def text(self) -> str:
        """The whole of a text field."""
        data = bytearray()
        async for piece in self.stream():
            data += piece
            if len(data) > MAX_FIELD_BYTES:
                break
        return _text(self.name, data)


class WholePart(NamedTuple):
    """One part of a form that is at hand as a whole."""

    name: str
    filename: str | None
    content: bytes

    def text(self) -> str:
        """The content of a text field."""
        return _text(self.name, self.content)


def split_form(body: bytes, boundary: str) -> Iterator[WholePart]:
    """The parts of a form that is at hand; RefusedError `invalid_form` if malformed. Judged as `read_form` does."""
    _check_boundary(boundary)
    if lone := lone_part(body, boundary.encode()):
        yield WholePart(*lone)
        return
    _check_beginning(body, boundary.encode())
    segment: Any = None
    pieces: list[bytes] = []
    try:
        parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        for event in parser.parse(body):
            if event is None:
                yield WholePart(segment.name or "", segment.filename, b"".join(pieces))
            elif isinstance(event, MultipartSegment):
                _check_headers(event)
                segment, pieces = event, []
            else:
                pieces.append(event)
        parser.close()
    except MultipartError as error:
        raise _malformed(error) from error


async def read_form(body: AsyncIterator[bytes], boundary: str) -> AsyncIterator[FormPart]:
    """The parts of the form in their order. Each must be read to its end; RefusedError `invalid_form` if malformed.

    The same bytes are judged the same, in whatever pieces they come.
    """
    _check_boundary(boundary)
    events = _events(_from_first_boundary(body, boundary.encode()), boundary)
    async for event in events:
        if isinstance(event, MultipartSegment):
            _check_headers(event)
            yield FormPart(event, events)


async def _from_first_boundary(body: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[bytes]:
    """The body, if it begins with a boundary. No client puts anything before it, and the parser is not sure of it."""
    begun: bytes | None = b""
    async for piece in body:
        if begun is None:
            yield piece
            continue
        begun += piece
        if len(begun) < len(boundary) + 4:  # two hyphens, and an empty line may come before them
            continue
        _check_beginning(begun, boundary)
        yield begun
        begun = None


def _check_boundary(boundary: str) -> None:
    if len(boundary) > MAX_BOUNDARY_CHARS:
        raise RefusedError("invalid_form", f"The boundary is longer than {MAX_BOUNDARY_CHARS} characters.")


def _check_beginning(begun: bytes, boundary: bytes) -> None:
    if not begun.removeprefix(b"\r\n").startswith(b"--" + boundary):
        raise RefusedError("invalid_form", "The body does not begin with the boundary that its type names.")


def _check_headers(segment: MultipartSegment) -> None:
    """What the parser lets pass or not, depending on where the pieces were cut: here it never passes."""
    for name, value in segment.headerlist:
        if "\r" in value or "\n" in value or len(name) + len(value) > MAX_HEADER_CHARS:
            raise RefusedError("invalid_form", "A header of a part is too long or holds a line break.")


async def _events(body: AsyncIterator[bytes], boundary: str) -> AsyncIterator[Event]:
    try:
        parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        async for piece in body:  # also an epilogue, so that the client can finish sending
            for event in parser.parse(piece):
                yield event
        parser.close()
    except MultipartError as error:
        raise _malformed(error) from error


def _malformed(error: MultipartError) -> RefusedError:
    return RefusedError("invalid_form", f"The multipart body is malformed: {error}.")


def _text(name: str, data: bytes | bytearray) -> str:
    if len(data) > MAX_FIELD_BYTES:
        raise RefusedError("invalid_option", f"`{name[:64]}` is longer than {MAX_FIELD_BYTES} bytes.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RefusedError("invalid_option", f"`{name[:64]}` is not UTF-8 text.") from None
