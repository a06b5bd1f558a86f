"""Load a span of one of our FLAC files as 16 kHz mono, for transcription and voice activity detection."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from processor_service.audio.flac import read_blocks
from processor_service.audio.mix_channels import mix_stream
from processor_service.audio.source import Block, Mono

SAMPLE_RATE_HZ = 16_000


def load_mono_16k(
    path: Path, start_frame: int = 0, end_frame: int | None = None, *, channel: int | None = None
) -> Mono:
    """Load a span, given in frames of the file, as float32 (samples,) at 16 kHz, from -1 to 1.

    Of one channel, counted from 0, or of the mix of all (mix_channels).
    """
    blocks = blocks_16k(path, start_frame, end_frame, channel=channel)
    mono = np.concatenate([np.zeros(0, np.float32), *mix_stream(blocks)])
    peak = max(mono.max(initial=0.0), -mono.min(initial=0.0))
    return mono if peak <= 1 else np.divide(mono, peak, out=mono)


def blocks_16k(
    path: Path, start_frame: int = 0, end_frame: int | None = None, *, channel: int | None = None
) -> Iterator[Block]:
    """Load a span at 16 kHz as a stream of blocks (frames, channels): of all channels, or of one."""
    with soundfile.SoundFile(path) as file:
        end_frame = file.frames if end_frame is None else min(end_frame, file.frames)
        blocks = read_blocks(file, start_frame, end_frame)
        if channel is not None:
            blocks = (np.ascontiguousarray(block[:, channel : channel + 1]) for block in blocks)
        yield from _resampled(blocks, file.samplerate, file.channels if channel is None else 1)


def _resampled(blocks: Iterable[Block], rate_hz: int, channels: int) -> Iterator[Block]:
    if rate_hz == SAMPLE_RATE_HZ:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, channels, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)
