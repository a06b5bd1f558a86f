"""A piece of a stored file that is a recording of its own: what decoders open instead of the whole file.

Files are joined byte by byte, stand behind tags, or have a header that states too few bytes. `find_pieces` finds them.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import msgspec

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 1 << 17


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes from `start` to `end` of a file, after a header that replaces theirs."""

    path: Path
    start: int
    end: int
    header: bytes = b""

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """Open it for reading, as a file of its own."""
        raw = self.path.open(mode)
        if not self.start and not self.header and self.end >= raw.seek(0, io.SEEK_END):
            raw.seek(0)
            return raw
        return cast("BinaryIO", io.BufferedReader(_Section(raw, self), BUFFER_BYTES))

    def part(self, start: int, end: int) -> "Piece":
        """The bytes from `start` to `end` of this piece. Not for one with a header."""
        return Piece(path=self.path, start=self.start + start, end=self.start + end)


def whole_file(path: Path) -> Piece:
    return Piece(path=path, start=0, end=path.stat().st_size)


class _Section(io.RawIOBase):
    """The content of a piece."""

    def __init__(self, file: BinaryIO, piece: Piece) -> None:
        self._file = file
        self._header = piece.header
        self._start = piece.start
        self._size = len(piece.header) + piece.end - piece.start
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError("negative position")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        content = self._content(min(len(view), max(0, self._size - self._position)))
        view[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _content(self, length: int) -> bytes:
        if self._position < len(self._header):
            return self._header[self._position : self._position + length]
        self._file.seek(self._start + self._position - len(self._header))
        return self._file.read(length)
