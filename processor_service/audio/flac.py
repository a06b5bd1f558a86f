"""Write and read our own FLAC files in blocks, without loss."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import soundfile

from processor_service.audio.scratch_files import GrowingFile
from processor_service.audio.source import Block, block_frames
from processor_service.errors import storage_full

SAMPLE_BYTES = 2  # as counted against the budget
COMPRESSION = 0.5  # FLAC's level 4: 400 times real time at 44.1 kHz stereo, 12 % smaller than level 1


class FlacWriter:
    """Writes a FLAC file. Blocks are (frames, channels) from -1 to 1; decoded integers are kept exactly.

    `write` and `close` raise TaskError when the file exceeds the limits of scratch_files.py.
    """

    def __init__(self, path: Path, sample_rate_hz: int, channels: int, bit_depth: int) -> None:
        self.path = path
        self.frames = 0
        self._bit_depth = bit_depth
        self._size = GrowingFile(path)
        self._step_frames = block_frames(sample_rate_hz)
        self._file = soundfile.SoundFile(
            path, "w", sample_rate_hz, channels, f"PCM_{bit_depth}", format="FLAC", compression_level=COMPRESSION
        )

    def write(self, block: Block) -> None:
        for start in range(0, len(block), self._step_frames):
            self._write(block[start : start + self._step_frames])
            self._size.grew(sample_bytes=block[start : start + self._step_frames].size * SAMPLE_BYTES)

    def _write(self, block: Block) -> None:
        # Not as floats: libsndfile scales them by 32767, readers by 32768. Integers come back unchanged.
        try:
            self._file.write(_to_int16(block) if self._bit_depth == 16 else _to_int24_in_32(block))
        except soundfile.LibsndfileError as error:
            if self._size.is_disk_full():
                raise storage_full() from error
            raise
        self.frames += len(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def close(self) -> None:
        """Write what is buffered. A closed file stays as it is."""
        if not self._file.closed:
            self._file.close()
            self._size.grew()

    def abandon(self) -> None:
        """Close a file that will not be used."""
        self._file.close()


def read_blocks(file: soundfile.SoundFile, start_frame: int, end_frame: int) -> Iterator[Block]:
    """The frames from `start_frame` to `end_frame`, in blocks of about 2 s."""
    file.seek(start_frame)
    remaining = end_frame - start_frame
    while remaining > 0:
        block: Block = file.read(min(remaining, block_frames(file.samplerate)), dtype="float32", always_2d=True)
        if not len(block):
            return
        remaining -= len(block)
        yield block


def bit_depth(file: soundfile.SoundFile) -> int:
    return 24 if file.subtype == "PCM_24" else 16


def _to_int16(block: Block) -> npt.NDArray[np.int16]:
    scaled = block * np.float32(32768)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -32768, 32767, out=scaled).astype(np.int16)


def _to_int24_in_32(block: Block) -> npt.NDArray[np.int32]:
    scaled = block * np.float64(8388608)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -8388608, 8388607, out=scaled).astype(np.int32) << 8
