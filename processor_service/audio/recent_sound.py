"""Decide whether a sound repeats a recent one, as after a broken connection whose sender starts again earlier."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame

from processor_service.audio.source import Mono

KEPT_S = 30.0
MAX_VALUES = 1 << 22  # samples of all channels that are kept, whatever the format
RATE_HZ = 4_000  # enough to compare speech
SLACK_S = 0.1  # time stamps may be this wrong
SIMILAR = 0.7  # correlation; another encoding of the same sound has more than 0.9, other sounds less than 0.3
NO_ARRAYS = {"s64", "s64p"}  # sample formats that PyAV does not convert to arrays
SILENT = 1e-3  # -60 dB: silence repeats nothing


class RecentSound:
    """The last frames that were played, by their position in seconds."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, AudioFrame]] = deque()
        self._values = 0

    def add(self, position_s: float, frame: AudioFrame) -> None:
        if frame.format.name in NO_ARRAYS:
            return
        self._frames.append((position_s, frame))
        self._values += _values(frame)
        while self._frames[0][0] < position_s - KEPT_S or self._values > MAX_VALUES:
            self._values -= _values(self._frames.popleft()[1])
            if not self._frames:
                return

    def repeats(self, frames: Sequence[AudioFrame], position_s: float) -> bool:
        """Whether the frames sound like those that were played from `position_s` on."""
        length_s = sum(frame.samples / frame.sample_rate for frame in frames)
        start_s, end_s = position_s - SLACK_S, position_s + length_s + SLACK_S
        if any(frame.format.name in NO_ARRAYS for frame in frames):
            return False
        old = [frame for at_s, frame in self._frames if start_s <= at_s < end_s]
        return bool(old) and similarity(_mono(frames), _mono(old)) >= SIMILAR


def similarity(part: Mono, whole: Mono) -> float:
    """The highest correlation, from 0 to 1, of a sound with any part of another that is about as long."""
    slack = round(2 * SLACK_S * RATE_HZ)
    part = part[: max(0, len(whole) - slack)]
    if not len(part) or np.sqrt(np.mean(part**2)) < SILENT:
        return 0.0
    energy = np.convolve(whole.astype(np.float64) ** 2, np.ones(len(part)), "valid")
    products = np.correlate(whole, part, "valid")
    return float((products / np.sqrt(np.maximum(energy, 1e-9) * float(part @ part))).max())


def _values(frame: AudioFrame) -> int:
    return frame.samples * frame.layout.nb_channels


def _mono(frames: Sequence[AudioFrame]) -> Mono:
    """The frames, as mono at about RATE_HZ."""
    return np.concatenate([_mono_frame(frame) for frame in frames])


def _mono_frame(frame: AudioFrame) -> Mono:
    values: Any = frame.to_ndarray()  # of the frame's sample type
    rows = values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T
    full_scale = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    mono = rows.mean(axis=0, dtype=np.float32) / np.float32(full_scale)
    step = max(1, frame.sample_rate // RATE_HZ)
    return np.asarray(mono[: len(mono) // step * step].reshape(-1, step).mean(axis=1), np.float32)
