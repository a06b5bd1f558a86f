"""The parts of a multipart/form-data body: one by one while it arrives, or all at once when it is at hand.

The framework's own form parser spools files to disk and takes text fields of any size into memory. Here nothing is kept
but the piece at hand, and everything has a limit.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

from ingest_service.errors import RefusedError
from ingest_service.uploads.form_parser import MAX_HEADERS_BYTES, MAX_PARTS, Event, FormParser, PartHead

MAX_FIELD_BYTES = 64 << 10  # of one option, such as `metadata`
OVERHEAD_BYTES = MAX_PARTS * (MAX_FIELD_BYTES + MAX_HEADERS_BYTES)  # what a form may have beside its audio


class FormPart:
    """One part of the form: its name, the file name it claims, and its bytes, to be read once and before the next."""

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


class WholePart(NamedTuple):
    """One part of a form that is at hand as a whole."""

    name: str
    filename: str | None
    content: bytes

    def text(self) -> str:
        """The content of a text field."""
        return _text(self.name, self.content)


def split_form(body: bytes, boundary: str) -> list[WholePart]:
    """The parts of a form that is at hand; RefusedError `invalid_form` where `read_form` raises it, too."""
    parser = FormParser(boundary)
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


async def read_form(body: AsyncIterator[bytes], boundary: str) -> AsyncIterator[FormPart]:
    """The parts of the form in their order. Each must be read to its end; RefusedError `invalid_form` if malformed."""
    events = _events(body, FormParser(boundary))
    async for event in events:
        if isinstance(event, PartHead):
            yield FormPart(event, events)


async def _events(body: AsyncIterator[bytes], parser: FormParser) -> AsyncIterator[Event]:
    async for piece in body:  # also an epilogue, so that the client can finish sending
        for event in parser.push(piece):
            yield event
    parser.end()


def _text(name: str, data: bytes | bytearray) -> str:
    if len(data) > MAX_FIELD_BYTES:
        raise RefusedError("invalid_option", f"`{name[:64]}` is longer than {MAX_FIELD_BYTES} bytes.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RefusedError("invalid_option", f"`{name[:64]}` is not UTF-8 text.") from None
