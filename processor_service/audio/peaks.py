"""Compute the waveform that players draw: the lowest and highest sample of every 50 ms, in the pass that decodes.

The format is the JSON of BBC's audiowaveform, version 2. Memory holds two bytes a pair: 3.5 MB for a day of audio.
"""

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.audio.mix_channels import CANCELLED, possible_mixes
from processor_service.audio.scratch_files import write_file
from processor_service.audio.source import Block
from shared.blobs.blob_keys import OVERVIEW_FROM_S

PAIRS_PER_S = 20
OVERVIEW_PIXELS = 10  # pixels of the detail level in one of the overview
FULL_SCALE = 128
ENCODED_AT_ONCE = 1 << 16  # values

Pairs = npt.NDArray[np.int8]  # (pixels, 2): minimum and maximum


class PeakFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a source's peaks. Files of up to an hour have no overview."""

    detail_path: str
    overview_path: str | None


class PeakMeter:
    """Collects the pairs of a stream of blocks (frames, channels), whatever their lengths.

    What is before `start_frame` is not decoded: it is drawn as silence, so that the waveform has the file's clock.
    """

    def __init__(self, sample_rate_hz: int, channels: int, *, start_frame: int = 0) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._pixel_frames = max(1, sample_rate_hz // PAIRS_PER_S)
        self._weights = possible_mixes(channels)[0] if channels > 1 else np.ones(1, np.float32)
        self._rest: Block = np.zeros((start_frame % self._pixel_frames, channels), np.float32)
        self._pairs = bytearray(2 * (start_frame // self._pixel_frames))
        self._frames = start_frame

    def add(self, block: Block) -> None:
        """Add the pairs of all complete pixels; keep the rest for the next block."""
        self._frames += len(block)
        held = np.concatenate([self._rest, block]) if len(self._rest) else block
        whole = len(held) - len(held) % self._pixel_frames
        self._append(held[:whole], self._pixel_frames)
        self._rest = held[whole:].copy()

    def pairs(self) -> Pairs:
        """Return all pairs. The last one may stand for less than a pixel. Nothing can be added after this."""
        self._append(self._rest, len(self._rest))
        self._rest = self._rest[:0]
        return np.frombuffer(self._pairs, np.int8).reshape(-1, 2)

    def write(self, out_dir: Path) -> PeakFiles:
        """Write the levels as JSON. Raise TaskError beyond the limits of scratch_files.py."""
        pairs = self.pairs()
        detail, overview = out_dir / "peaks.json", out_dir / "peaks-overview.json"
        write_file(detail, peaks_json(pairs, self._sample_rate_hz, self._pixel_frames))
        if self._frames <= OVERVIEW_FROM_S * self._sample_rate_hz:
            return PeakFiles(detail_path=str(detail), overview_path=None)
        pixel_frames = self._pixel_frames * OVERVIEW_PIXELS
        write_file(overview, peaks_json(zoomed_out(pairs), self._sample_rate_hz, pixel_frames))
        return PeakFiles(detail_path=str(detail), overview_path=str(overview))

    def _append(self, frames: Block, pixel_frames: int) -> None:
        if len(frames):
            mono = mixed(frames.reshape(-1, pixel_frames, frames.shape[1]), self._weights)
            edges = np.stack([mono.min(axis=1), mono.max(axis=1)], axis=1)
            self._pairs += scaled(edges).tobytes()


def mixed(pixels: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mix pixels (pixels, frames, channels) to (pixels, frames). Where the mix cancels, take the loudest channel."""
    if len(weights) == 1:
        return pixels[:, :, 0]
    mono = np.asarray(pixels @ weights)
    energies = np.einsum("pf,pf->p", mono, mono)
    least = CANCELLED * np.mean(weights**2) * np.einsum("pfc,pfc->p", pixels, pixels)
    for pixel in np.flatnonzero(energies < least):
        loudest = np.square(pixels[pixel]).sum(axis=0).argmax()
        mono[pixel] = pixels[pixel, :, loudest]
    return mono


def scaled(samples: npt.NDArray[np.float32]) -> Pairs:
    """Return samples from -1 to 1 in 8 bits."""
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int8)


def zoomed_out(pairs: Pairs) -> Pairs:
    """Return one pair for every OVERVIEW_PIXELS pairs."""
    starts = np.arange(0, len(pairs), OVERVIEW_PIXELS)
    lows, highs = np.minimum.reduceat(pairs[:, 0], starts), np.maximum.reduceat(pairs[:, 1], starts)
    return np.stack([lows, highs], axis=1)


def peaks_json(pairs: Pairs, sample_rate_hz: int, pixel_frames: int) -> bytes:
    """Return the JSON of `shared.schemas.peaks.Peaks`, without a Python object for each of its millions of numbers."""
    head = {
        "version": 2,
        "channels": 1,
        "sample_rate": sample_rate_hz,
        "samples_per_pixel": pixel_frames,
        "bits": 8,
        "length": len(pairs),
    }
    values = pairs.ravel()
    pieces = (values[at : at + ENCODED_AT_ONCE].tolist() for at in range(0, len(values), ENCODED_AT_ONCE))
    data = b",".join(msgspec.json.encode(piece)[1:-1] for piece in pieces)
    return msgspec.json.encode(head)[:-1] + b',"data":[' + data + b"]}"
