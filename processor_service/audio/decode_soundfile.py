"""Decode with libsndfile: WAV and variants, AIFF, AU, CAF, FLAC. Files that it reads badly are refused."""

from collections.abc import Iterator
from typing import BinaryIO

import soundfile

from processor_service.audio.media_clock import ClockReport
from processor_service.audio.pieces import Piece
from processor_service.audio.source import Block, SourceFacts, block_frames
from processor_service.errors import undecodable

# Not Ogg: libsndfile doubles sound where granule positions jump. Not MP3: it pads a truncated file to its stated length
# and stops at damage. PyAV does neither.
MAGIC = (b"RIFF", b"RF64", b"riff", b"FORM", b"caff", b".snd", b"fLaC")
UNKNOWN_FRAMES = 1 << 62  # stands for "unknown": a FLAC from a pipe
DEEP_SUBTYPES = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32"}
MAX_BLOCK_VALUES = 1 << 22  # limits a block, whatever rate and channel count a header states


class SoundfileDecoder:
    """A Decoder (source.py)."""

    def __init__(self, piece: Piece, *, start_s: float = 0.0) -> None:
        self._bytes = piece.open()
        try:
            self._file = _open(self._bytes)
        except BaseException:
            self._bytes.close()
            raise
        self.facts = _facts(self._file)
        self.first_frame = min(round(start_s * self.facts.sample_rate_hz), self._file.frames)
        self.decode_errors = 0
        self.clock_report = ClockReport()

    def blocks(self) -> Iterator[Block]:
        self._seek()
        frames = min(block_frames(self._file.samplerate), max(1, MAX_BLOCK_VALUES // self._file.channels))
        while True:
            try:
                block: Block = self._file.read(frames, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, ValueError) as error:
                raise undecodable() from error
            if not len(block):
                return
            yield block

    def _seek(self) -> None:
        if not self.first_frame:
            return
        try:
            self._file.seek(self.first_frame)
        except (soundfile.SoundFileError, ValueError) as error:
            raise undecodable() from error

    def close(self) -> None:
        self._file.close()
        self._bytes.close()


def _open(raw: BinaryIO) -> soundfile.SoundFile:
    magic = raw.read(4)
    raw.seek(0)
    if magic not in MAGIC:
        raise undecodable()
    try:
        file = soundfile.SoundFile(raw)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise undecodable() from error
    if file.format == "MP3" or not file.seekable() or not 0 < file.frames < UNKNOWN_FRAMES or not file.samplerate:
        file.close()
        raise undecodable()
    return file


def _facts(file: soundfile.SoundFile) -> SourceFacts:
    return SourceFacts(
        sample_rate_hz=file.samplerate,
        channels=file.channels,
        duration_s=file.frames / file.samplerate,
        format=file.format.lower(),
        codec=file.subtype.lower(),
        bit_depth=24 if file.subtype in DEEP_SUBTYPES else 16,
    )
