"""Finds the recordings in a file: joined files have several, and tags or junk may stand in front of them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from processor_service.audio.measure_wav import measure_wav
from processor_service.audio.pieces import Piece, whole_file
from shared.media.leading_tags import MAX_TAGS, TAG_HEAD_BYTES, tag_bytes
from shared.media.sniff_container import HEAD_BYTES, Located, locate_container

MAX_PIECES = 256
SEARCH_BYTES = 1 << 20
LONGEST_SIGNATURE_BYTES = 128
MAX_BOXES = 1_000_000
BOX_HEAD_BYTES = 16

# How another recording of the same container begins: so many fixed bytes that no samples look like it by chance.
SIGNATURES = {
    "wav": (b"WAVE", re.compile(rb"(?:RIFF|RIFX|RF64|BW64).{4}WAVE[ -~]{4}", re.DOTALL)),
    "aiff": (b"AIF", re.compile(rb"FORM.{4}AIF[FC][ -~]{4}", re.DOTALL)),
    "avi": (b"AVI ", re.compile(rb"RIFF.{4}AVI LIST", re.DOTALL)),
    "flac": (b"fLaC", re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")),
    "caf": (b"caff", re.compile(rb"caff\x00\x01\x00\x00desc")),
    "au": (b".snd", re.compile(rb"\.snd\x00\x00.{6}\x00\x00\x00[\x01-\x1b]\x00", re.DOTALL)),
    "w64": (b"riff", re.compile(rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00")),
    "mkv": (b"\x1a\x45\xdf\xa3", re.compile(rb"\x1a\x45\xdf\xa3.{1,60}?(?:matroska|webm)", re.DOTALL)),
    "asf": (b"\x30\x26\xb2\x75", re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c")),
    "flv": (b"FLV\x01", re.compile(rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09\x00\x00\x00\x00")),
    "tta": (b"TTA1", re.compile(rb"TTA1[\x01-\x03]\x00[\x01-\x08]\x00")),
    "amr": (b"#!AMR", re.compile(rb"#!AMR(?:-WB)?\n")),
    "voc": (b"Creative", re.compile(rb"Creative Voice File\x1a")),
    # A tag between frames starts another file, but one that begins with PRIV is a time stamp of a stream.
    "mp3": (b"ID3", re.compile(rb"ID3[\x02-\x04]\x00[\x00-\xf0][\x00-\x7f]{4}(?!PRIV)[A-Z][A-Z0-9]{2}")),
    "wavpack": (b"wvpk", re.compile(rb"wvpk.{4}[\x02-\x10]\x04.{6}\x00\x00\x00\x00", re.DOTALL)),
}
SIGNATURES["rm"] = (b".RMF", re.compile(rb"\.RMF\x00\x00\x00\x12\x00"))
SIGNATURES["rf64"] = SIGNATURES["wav"]
SIGNATURES["webm"] = SIGNATURES["mkv"]
ISO_MEDIA = ("mp4", "m4a", "mov", "3gp")
# Tags, indexes and padding behind a recording. Nothing is lost when they are not read.
HARMLESS_TAILS = (b"TAG", b"APETAGEX", b"ID3", b"3DI", b"LYRICSBEGIN")


class FoundPieces(msgspec.Struct, frozen=True, kw_only=True):
    """The recordings of a file in order, at least one, and the bytes behind them that none contains."""

    pieces: tuple[Piece, ...]
    unread_bytes: int


def find_pieces(path: Path) -> FoundPieces:
    """Find the recordings. A file that is not recognized is one piece: a decoder judges it."""
    with path.open("rb") as file:
        file_bytes = file.seek(0, 2)
        finder = _Finder(path, file, file_bytes)
        pieces: list[Piece] = []
        at = unread_bytes = 0
        while len(pieces) < MAX_PIECES and (piece := finder.piece(at, is_last=len(pieces) == MAX_PIECES - 1)):
            if pieces and not finder.is_harmless(at):
                unread_bytes += piece.start - len(piece.header) - at
            pieces.append(piece)
            at = piece.end
        if not pieces:
            return FoundPieces(pieces=(whole_file(path),), unread_bytes=0)
        unread_bytes += 0 if finder.is_harmless(at) else file_bytes - at
        return FoundPieces(pieces=tuple(pieces), unread_bytes=unread_bytes)


class _Finder:
    """The search in one opened file."""

    def __init__(self, path: Path, file: BinaryIO, file_bytes: int) -> None:
        self._path = path
        self._file = file
        self._file_bytes = file_bytes

    def piece(self, at: int, *, is_last: bool) -> Piece | None:
        """The recording that starts at this offset, or behind tags and junk there.

        A film that is a stream may repeat its header. The last piece contains the rest of them: FFmpeg reads on.
        """
        found = self._locate(at)
        if found is None:
            return None
        container, start = found
        if container in {"wav", "rf64", "aiff"}:
            extent = measure_wav(self._file, start, self._file_bytes, self._next(container), self._is_other)
            return Piece(path=self._path, start=extent.data_start or start, end=extent.end, header=extent.header)
        if container in ISO_MEDIA:
            return Piece(path=self._path, start=start, end=self._file_bytes if is_last else self._end_of_boxes(start))
        end = self._next(container)(start + 1) if container in SIGNATURES else self._file_bytes
        if container == "flac":  # its header does not say where it ends: a WAV may follow
            end = self._search(start, end, *SIGNATURES["wav"])
        return Piece(path=self._path, start=start, end=end)

    def is_harmless(self, at: int) -> bool:
        """Whether the rest of the file from this offset is no more than padding, a tag or an index."""
        tail = self._read(at, HEAD_BYTES)
        rest = tail.lstrip(b"\x00")
        if len(rest) < 4 and len(tail) < HEAD_BYTES:
            return True
        return rest.startswith(HARMLESS_TAILS)

    def _is_other(self, at: int) -> bool:
        located = self._locate(at)
        return self.is_harmless(at) or (located is not None and located.offset == at)

    def _locate(self, at: int) -> Located | None:
        for _ in range(MAX_TAGS):  # the gate sees only the first bytes; a tag with pictures is longer
            length = tag_bytes(self._read(at, TAG_HEAD_BYTES))
            if not length or at + length >= self._file_bytes:
                break
            at += length
        located = locate_container(self._read(at, HEAD_BYTES))
        start = at + located.offset if located else self._file_bytes
        return Located(located.container, start) if located and start < self._file_bytes else None

    def _next(self, container: str) -> Callable[[int], int]:
        """A function that returns the next start of such a file from an offset on, or the end of the file."""
        magic, signature = SIGNATURES[container]
        return lambda at: self._search(at, self._file_bytes, magic, signature)

    def _search(self, at: int, until: int, magic: bytes, signature: re.Pattern[bytes]) -> int:
        """The offset of a signature, or `until`."""
        while at < until:
            content = self._read(at, SEARCH_BYTES + LONGEST_SIGNATURE_BYTES)
            if magic in content and (match := signature.search(content)):
                return min(until, at + match.start())
            at += SEARCH_BYTES
        return until

    def _end_of_boxes(self, at: int) -> int:
        """The end of an ISO base media file: where its boxes end, or another file's `ftyp` follows its `moov`."""
        has_movie = False
        for _ in range(MAX_BOXES):
            head = self._read(at, BOX_HEAD_BYTES)
            kind, length = head[4:8], int.from_bytes(head[:4])
            length = int.from_bytes(head[8:16]) if length == 1 else length
            if not _is_box(kind, length) or (kind == b"ftyp" and has_movie):
                return at if has_movie or length else self._file_bytes
            has_movie = has_movie or kind == b"moov"
            if length == 0 or at + length >= self._file_bytes:
                return self._file_bytes
            at += length
        return self._file_bytes

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(length)


def _is_box(kind: bytes, length: int) -> bool:
    is_name = len(kind) == 4 and all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind)
    return is_name and (length == 0 or length >= 8)
