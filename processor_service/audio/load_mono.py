"""Load a span of one of our FLAC files as 16 kHz mono, for transcription and voice activity detection."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from processor_service.audio.flac import read_blocks
from processor_service.audio.mix_channels import ChannelLevels, Mix
from processor_service.audio.source import Mono

SAMPLE_RATE_HZ = 16_000


def load_mono_16k(
    path: Path, start_frame: int = 0, end_frame: int | None = None, *, channel: int | None = None
) -> Mono:
    """Load a span, given in frames of the file, as float32 (samples,) at 16 kHz.

    Of one channel, counted from 0, or of the mix of all. A mix takes two passes; the first chooses it (mix_channels).
    """
    with soundfile.SoundFile(path) as file:
        end_frame = file.frames if end_frame is None else min(end_frame, file.frames)
        mix = _choose_mix(file, start_frame, end_frame) if channel is None else Mix(channel=channel, gain=1.0)
        return _joined(_resampled(file, start_frame, end_frame, mix))


def _choose_mix(file: soundfile.SoundFile, start_frame: int, end_frame: int) -> Mix:
    if file.channels == 1:
        return Mix(channel=0, gain=1.0)
    levels = ChannelLevels(file.channels)
    for block in read_blocks(file, start_frame, end_frame):
        levels.add(block)
    return levels.mix()


def _resampled(file: soundfile.SoundFile, start_frame: int, end_frame: int, mix: Mix) -> Iterator[Mono]:
    monos = (mix.apply(block) for block in read_blocks(file, start_frame, end_frame))
    if file.samplerate == SAMPLE_RATE_HZ:
        yield from monos
        return
    stream = soxr.ResampleStream(file.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32")
    for mono in monos:
        yield stream.resample_chunk(mono)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _joined(parts: Iterator[Mono]) -> Mono:
    return np.concatenate([np.zeros(0, np.float32), *parts])
