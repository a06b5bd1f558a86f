"""Decode Ogg with PyAV, link by link: a chain has one complete recording after another, as from radio recorders.

libsndfile is not used: it doubles sound where granule positions jump, and reads only the first link.
"""

import io
from collections.abc import Generator, Iterator
from typing import BinaryIO

import msgspec

from processor_service.audio.decode_pyav import PyAVDecoder
from processor_service.audio.media_clock import ClockReport
from processor_service.audio.pieces import Piece
from processor_service.audio.source import Block, SourceFacts
from processor_service.errors import AudioError, undecodable

MAGIC = b"OggS"
HEADER_BYTES = 27
BEGIN_OF_STREAM = 2
SEARCH_BYTES = 1 << 16


class OggDecoder:
    """A Decoder (source.py). All links are converted to the rate and channels of the first that decodes.

    A file of one link begins before `start_s`, a chain at its beginning.
    """

    def __init__(
        self, piece: Piece, *, track: int | None = None, limit_s: float | None = None, start_s: float = 0.0
    ) -> None:
        self._track, self._limit_s = track, limit_s
        with piece.open() as file:
            self._links = [piece.part(start, end) for start, end in find_links(file)]
        self._start_s = start_s if len(self._links) == 1 else 0.0
        self.decode_errors = 0
        self.clock_report = ClockReport()
        self._first = self._current = self._open_first()
        self.facts = self._first.facts
        if self._links:  # the lengths of the others are not known
            self.facts = msgspec.structs.replace(self.facts, duration_s=None)

    @property
    def first_frame(self) -> int:
        """See Decoder."""
        return self._first.first_frame

    def blocks(self) -> Iterator[Block]:
        position_s = yield from self._play(self._first, 0.0)
        for link in self._links:
            try:
                self._current = self._open(link, position_s, like=self.facts)
            except AudioError:
                self.decode_errors += 1
                continue
            position_s = yield from self._play(self._current, position_s)

    def close(self) -> None:
        self._current.close()

    def _open_first(self) -> PyAVDecoder:
        """The first link that decodes, which it takes from the list with those before it."""
        while self._links:
            link = self._links.pop(0)
            try:
                return self._open(link, 0.0)
            except AudioError:
                if not self._links:
                    raise
                self.decode_errors += 1
        raise undecodable()

    def _open(self, link: Piece, position_s: float, like: SourceFacts | None = None) -> PyAVDecoder:
        limit_s = None if self._limit_s is None else self._limit_s - position_s
        return PyAVDecoder(link.open, track=self._track, limit_s=limit_s, start_s=self._start_s, like=like)

    def _play(self, link: PyAVDecoder, position_s: float) -> Generator[Block, None, float]:
        """The blocks of a link. Return the position after it."""
        frames = 0
        try:
            for block in link.blocks():
                frames += len(block)
                yield block
        finally:
            link.close()
            self.decode_errors += link.decode_errors
            self.clock_report.add(link.clock_report, position_s)
        return position_s + frames / self.facts.sample_rate_hz


def find_links(file: BinaryIO) -> list[tuple[int, int]]:
    """The byte ranges of the links. Each begins with the first pages of all its streams."""
    starts, first_pages_end = [], None
    for position, end, flags in _pages(file):
        begins = bool(flags & BEGIN_OF_STREAM)
        if begins and position != first_pages_end:
            starts.append(position)
        first_pages_end = end if begins else None
    file_end = file.seek(0, io.SEEK_END)
    starts[:1] = [0]  # what precedes the first page, or is no Ogg at all, is for the decoder
    return list(zip(starts, [*starts[1:], file_end], strict=True))


def _pages(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """The start, the end and the flags of each page. Damaged parts are skipped."""
    position: int | None = 0
    while position is not None:
        file.seek(position)
        header = file.read(HEADER_BYTES)
        if header.startswith(MAGIC) and len(header) == HEADER_BYTES:
            end = position + HEADER_BYTES + header[26] + sum(file.read(header[26]))
            yield position, end, header[5]
            position = end
        else:
            position = _find_page(file, position + 1) if header else None


def _find_page(file: BinaryIO, position: int) -> int | None:
    """The position of the next magic, from `position` on."""
    file.seek(position)
    found = b""
    while read := file.read(SEARCH_BYTES):
        found = found[1 - len(MAGIC) :] + read
        if (at := found.find(MAGIC)) >= 0:
            return file.tell() - len(found) + at
    return None
