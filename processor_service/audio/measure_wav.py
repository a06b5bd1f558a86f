"""Finds where a WAV or AIFF file ends, by its chunks. Recorders that crash, and pipes, leave wrong sizes in the header.

Positions are offsets in the opened file, which may contain more than this one recording.
"""

import struct
from collections.abc import Callable
from typing import BinaryIO, Literal

import msgspec
import numpy as np
import numpy.typing as npt

CHUNK_HEAD_BYTES = 8
FORM_HEAD_BYTES = 12
MAX_CHUNKS = 4096
UNKNOWN_BYTES = 0x7FFF_F000  # sizes from here on stand for "unknown": recorders that write to a pipe differ
MAX_RIFF_BYTES = 0xFFFF_FFFF
FORMS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
SMOOTH = 0.3  # correlation of neighbouring samples: of speech over 0.5, of other bytes about 0
SILENT = 1e-3  # of full scale
COMPARED_BYTES = 1 << 16


class WavExtent(msgspec.Struct, frozen=True, kw_only=True):
    """Where a recording ends. A `header` that is not empty replaces the bytes before `data_start`."""

    end: int
    data_start: int = 0
    header: bytes = b""


def measure_wav(
    file: BinaryIO, start: int, file_bytes: int, next_start: Callable[[int], int], is_other: Callable[[int], bool]
) -> WavExtent:
    """Measure the recording that starts at `start`.

    `next_start` returns where the next recording starts from an offset on, or the end of the file. `is_other` says
    whether the bytes from an offset on are known to be something else than samples.
    """
    chunks = _Chunks(file, start, file_bytes)
    end = min(chunks.end(), file_bytes)
    if not chunks.data_start:
        return WavExtent(end=file_bytes)
    following = next_start(chunks.data_start)
    states_too_few = end == chunks.data_end < file_bytes and not is_other(end) and chunks.continues(end, following)
    if states_too_few or following < end:
        end = following
    data_bytes = end - chunks.data_start
    if chunks.is_riff and (states_too_few or (chunks.is_open_ended and data_bytes > MAX_RIFF_BYTES)):
        return WavExtent(end=end, data_start=chunks.data_start, header=chunks.header(data_bytes))
    return WavExtent(end=end)


class _Chunks:
    """The chunks of one form: their order of bytes, its sample format, and where its samples are."""

    def __init__(self, file: BinaryIO, start: int, file_bytes: int) -> None:
        self._file = file
        self._start = start
        self._file_bytes = file_bytes
        magic = self._read(start, 4)
        self._order: Literal["big", "little"] = "big" if magic in {b"RIFX", b"FORM"} else "little"
        self.is_riff = magic in {b"RIFF", b"RIFX"}  # its sizes have 32 bits
        self._data_kind = b"SSND" if magic == b"FORM" else b"data"
        self._format = b""
        self._long_data_bytes = 0
        self.data_start = 0
        self.data_end = 0
        self.is_open_ended = False

    def end(self) -> int:
        """The offset of the first byte behind the chunks. Sets the attributes of the data."""
        at = self._start + FORM_HEAD_BYTES
        for _ in range(MAX_CHUNKS):
            kind, length = self._chunk(at)
            if not self._is_chunk(kind, at, length):
                return at
            if kind == self._data_kind and not self.data_start:
                self.data_start = at + CHUNK_HEAD_BYTES
                if self._is_unknown(length):
                    self.is_open_ended = True
                    return self._file_bytes
                self.data_end = self._after(at, length)
            at = self._after(at, length)
        return self._file_bytes

    def _chunk(self, at: int) -> tuple[bytes, int]:
        head = self._read(at, CHUNK_HEAD_BYTES)
        kind, length = head[:4], int.from_bytes(head[4:], self._order)
        if kind == b"fmt ":
            self._format = self._read(at + CHUNK_HEAD_BYTES, min(length, 40))
        if kind == b"ds64":
            self._long_data_bytes = int.from_bytes(self._read(at + 16, 8), "little")
        is_long = kind == b"data" and length == MAX_RIFF_BYTES and self._long_data_bytes
        return kind, self._long_data_bytes if is_long else length

    def _after(self, at: int, length: int) -> int:
        """The end of a chunk with its padding byte, which some writers forget."""
        end = at + CHUNK_HEAD_BYTES + length
        return end + (length % 2 if self._read(end, 4) not in FORMS else 0)

    def _is_chunk(self, kind: bytes, at: int, length: int) -> bool:
        if len(kind) < 4 or kind in FORMS or not all(0x20 <= byte < 0x7F for byte in kind):
            return False
        return not self.data_start or at + CHUNK_HEAD_BYTES + length <= self._file_bytes

    def _is_unknown(self, length: int) -> bool:
        if self.data_start + length > self._file_bytes or UNKNOWN_BYTES <= length <= MAX_RIFF_BYTES:
            return True
        kind, next_length = self._chunk(self.data_start)
        return length == 0 and not self._is_chunk(kind, self.data_start, next_length)

    def continues(self, at: int, until: int) -> bool:
        """Whether the bytes from this offset are samples too: as smooth as sound, or silent."""
        samples = self._samples(at, until)
        if samples is None or len(samples) < 2:
            return False
        samples = samples - samples.mean()
        energy = float(samples @ samples)
        is_silent = energy <= SILENT**2 * len(samples)
        return is_silent or float(samples[1:] @ samples[:-1]) > SMOOTH * energy

    def _samples(self, at: int, until: int) -> npt.NDArray[np.float64] | None:
        """Some samples of the first channel from this offset. None if they are coded."""
        if len(self._format) < 16:
            return None
        tag, channels, _, _, align, bits = struct.unpack(
            (">" if self._order == "big" else "<") + "HHIIHH", self._format[:16]
        )
        if tag == EXTENSIBLE and len(self._format) >= 26:
            tag = int.from_bytes(self._format[24:26], self._order)
        kind = _sample_kind(tag, bits)
        if kind is None or not channels or align != channels * bits // 8:
            return None
        at += -(at - self.data_start) % align
        content = self._read(at, max(0, min(COMPARED_BYTES, until - at)))
        return _first_channel(content, align, bits // 8, np.dtype(kind).newbyteorder(self._order))

    def header(self, data_bytes: int) -> bytes:
        """The bytes before the samples, with the right sizes."""
        head = self._read(self._start, self.data_start - self._start)
        form_bytes = len(head) - CHUNK_HEAD_BYTES + data_bytes
        if form_bytes <= MAX_RIFF_BYTES:
            return head[:4] + form_bytes.to_bytes(4, self._order) + head[8:-4] + data_bytes.to_bytes(4, self._order)
        sizes = struct.pack("<QQQI", form_bytes + 36, data_bytes, 0, 0)
        unknown = b"\xff" * 4
        return b"RF64" + unknown + b"WAVEds64" + struct.pack("<I", len(sizes)) + sizes + head[12:-4] + unknown

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(length)


def _sample_kind(tag: int, bits: int) -> str | None:
    kinds = {PCM: {8: "u1", 16: "i2", 24: "u1", 32: "i4"}, FLOAT: {32: "f4", 64: "f8"}}
    return kinds.get(tag, {}).get(bits)


def _first_channel(content: bytes, align: int, width: int, kind: np.dtype) -> npt.NDArray[np.float64]:
    frames = np.frombuffer(content[: len(content) // align * align], np.uint8).reshape(-1, align)
    first = np.ascontiguousarray(frames[:, :width])
    if width == 3:  # the highest byte is enough
        high = first[:, 2 if kind.byteorder != ">" else 0].view(np.int8)
        return high.astype(np.float64) / 128
    samples = np.nan_to_num(first.view(kind)[:, 0].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return samples / {"u": 128.0, "i": 2.0 ** (8 * width - 1), "f": 1.0}[kind.kind]
