"""Frames of silence, and frames without their start."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame

from processor_service.audio.recent_sound import NO_ARRAYS
from processor_service.audio.source import block_frames

UNSIGNED = ("u8", "u8p")  # sample formats whose silence is not zero


def silent_frames(length_s: float, like: AudioFrame) -> Iterator[AudioFrame]:
    """Silent frames of the same kind as `like`, each as long as a block at most."""
    remaining = round(length_s * like.sample_rate)
    while remaining > 0:
        samples = min(remaining, block_frames(like.sample_rate))
        frame = AudioFrame(like.format.name, like.layout.name, samples)
        frame.sample_rate = like.sample_rate
        for plane in frame.planes:
            plane.update((b"\x80" if like.format.name in UNSIGNED else b"\0") * plane.buffer_size)
        remaining -= samples
        yield frame


def without_start(frame: AudioFrame, samples: int) -> AudioFrame:
    """Return the frame without its first samples, where its sample format allows that."""
    if not samples or frame.format.name in NO_ARRAYS:
        return frame
    values: Any = frame.to_ndarray()  # of the frame's sample type
    start = samples if frame.format.is_planar else samples * frame.layout.nb_channels
    rest = AudioFrame.from_ndarray(np.ascontiguousarray(values[:, start:]), frame.format.name, frame.layout.name)
    rest.sample_rate = frame.sample_rate
    return rest
