"""Decode with libsndfile: WAV and variants, AIFF, AU, CAF, FLAC, Ogg. Files that it reads badly are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import soundfile

from processor_service.audio.source import Block, SourceFacts, block_frames
from processor_service.errors import undecodable

HEADER_BYTES = 27
BEGIN_OF_STREAM = 2


def count_links(file: BinaryIO) -> int:
    """The number of links of a chained Ogg file (consecutive streams, as from radio recorders), by its pages."""
    file.seek(0)
    links, in_headers = 0, False
    while (flags := _next_page(file)) is not None:
        begins = bool(flags & BEGIN_OF_STREAM)
        links += begins and not in_headers
        in_headers = begins
    return links


def _next_page(file: BinaryIO) -> int | None:
    """Return the flags of the page at the current position and move to the next; None if there is no page."""
    header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or not header.startswith(b"OggS"):
        return None
    sizes = file.read(header[26])
    file.seek(sum(sizes), 1)
    return header[5]


# Not MP3: libsndfile pads a truncated file to its stated length and stops at damage; PyAV does neither.
MAGIC = (b"RIFF", b"RF64", b"riff", b"FORM", b"caff", b".snd", b"fLaC", b"OggS")
DEEP_SUBTYPES = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32"}
MAX_BLOCK_VALUES = 1 << 22  # limits a block, whatever rate and channel count a header states


class SoundfileDecoder:
    """A Decoder (source.py)."""

    def __init__(self, path: Path) -> None:
        self._bytes = path.open("rb")
        try:
            self._file = _open(self._bytes)
        except BaseException:
            self._bytes.close()
            raise
        self.facts = _facts(self._file)
        self.decode_errors = 0

    def blocks(self) -> Iterator[Block]:
        frames = min(block_frames(self._file.samplerate), max(1, MAX_BLOCK_VALUES // self._file.channels))
        while True:
            try:
                block: Block = self._file.read(frames, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, ValueError) as error:
                raise undecodable() from error
            if not len(block):
                return
            yield block

    def close(self) -> None:
        self._file.close()
        self._bytes.close()


def _open(raw: BinaryIO) -> soundfile.SoundFile:
    magic = raw.read(4)
    raw.seek(0)
    if magic not in MAGIC or (magic == b"OggS" and _is_chained(raw)):
        raise undecodable()
    try:
        file = soundfile.SoundFile(raw)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise undecodable() from error
    if file.format == "MP3" or not file.seekable() or not file.frames or not file.samplerate:
        file.close()
        raise undecodable()
    return file


def _is_chained(raw: BinaryIO) -> bool:
    """Whether an Ogg file has several consecutive recordings, of which libsndfile reads only the first."""
    links = count_links(raw)
    raw.seek(0)
    return links > 1


def _facts(file: soundfile.SoundFile) -> SourceFacts:
    return SourceFacts(
        sample_rate_hz=file.samplerate,
        channels=file.channels,
        duration_s=file.frames / file.samplerate,
        format=file.format.lower(),
        codec=file.subtype.lower(),
        bit_depth=24 if file.subtype in DEEP_SUBTYPES else 16,
    )
