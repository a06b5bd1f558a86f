"""Denoises a chunk with noisereduce's non-stationary spectral gate, at the source's own rate and channels.

Works in blocks, each heard with what lies around it and cross-faded into the next, so that memory stays bounded.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from processor_service.audio.flac import FlacWriter, bit_depth
from processor_service.audio.join import half_fade_frames, join_overlapping
from processor_service.audio.source import Block, Mono, Progress
from processor_service.audio.write_chunks import ChunkFile

HEARD_S = 42.0  # what is denoised at a time: a block of 30 s and its context
MAX_HEARD_FRAMES = 1_400_000  # noisereduce takes 250 bytes a frame, so shorter blocks above 32 kHz
# Three time constants of noisereduce's noise floor (2 s). The difference from the whole denoised in one piece lies, at
# joints, 38 dB below the signal with 6 s, 47 dB with 8 s, 24 dB with 3 s.
CONTEXT_S = 6.0
JOINT_S = 0.1
SILENT_PEAK = 1e-6  # -120 dB: nothing there to clean, and noisereduce would divide zero by zero
DITHER = 1e-7  # -140 dB of noise for the empty bands of synthetic signals: without it, the same division


def denoise_chunk(chunk: ChunkFile, out_path: Path, *, fade_s: float, on_progress: Progress | None = None) -> None:
    """Write the denoised core of a chunk file, and half a fade more on each side where a neighbour follows."""
    with soundfile.SoundFile(chunk.path) as file:
        start_frame, end_frame = _wanted_span(chunk, file.frames, half_fade_frames(fade_s, file.samplerate))
        joint_frames = round(JOINT_S * file.samplerate)
        block_frames, _ = _block_lengths(file.samplerate)
        spans = _block_spans(start_frame, end_frame, block_frames, joint_frames)
        pieces = ([block] for block in _denoised_spans(file, chunk.file_start_frame, spans, on_progress))
        with FlacWriter(out_path, file.samplerate, file.channels, bit_depth(file)) as out:
            for block in join_overlapping(pieces, joint_frames if len(spans) > 1 else 0):
                out.write(block)


def denoise(block: Block, sample_rate_hz: int) -> Block:
    """The block (frames, channels) with its background reduced; same shape, finite, within full scale."""
    cleaned: list[Mono] = []
    for index, channel in enumerate(block.T):
        alike = index > 0 and np.array_equal(channel, block[:, index - 1])  # mono stored as stereo
        cleaned.append(cleaned[-1] if alike else _denoise_channel(np.ascontiguousarray(channel), sample_rate_hz))
    return np.clip(np.stack(cleaned, axis=1), -1.0, 1.0)


def _denoise_channel(samples: Mono, sample_rate_hz: int) -> Mono:
    if float(np.abs(samples).max(initial=0.0)) < SILENT_PEAK:
        return samples
    from noisereduce import reduce_noise  # imports torch and matplotlib: takes seconds

    n_fft = _fft_length(sample_rate_hz)
    dither = np.random.default_rng(0).standard_normal(len(samples)) * DITHER
    # chunk_size=None: no temporary file; the padding keeps the frame that noisereduce drops at the end out of ours.
    cleaned = reduce_noise(y=samples + dither, sr=sample_rate_hz, chunk_size=None, padding=2 * n_fft, n_fft=n_fft)
    return np.asarray(cleaned, dtype=np.float32)


def _fft_length(sample_rate_hz: int) -> int:
    """noisereduce's own 1024 wherever its smoothing over 500 Hz and 50 ms can be had with that, else what allows it."""
    if sample_rate_hz < 6_000:
        return 512
    return 1024 if sample_rate_hz <= 192_000 else 2048


def _wanted_span(chunk: ChunkFile, file_frames: int, half_fade: int) -> tuple[int, int]:
    """The span to denoise, in frames of the file."""
    start_frame = max(0, chunk.core_start_frame - chunk.file_start_frame - half_fade)
    end_frame = min(file_frames, chunk.core_end_frame - chunk.file_start_frame + half_fade)
    return start_frame, end_frame


def _block_lengths(sample_rate_hz: int) -> tuple[int, int]:
    """How long a block is, and how much is heard on each side of it, in frames."""
    heard_frames = min(round(HEARD_S * sample_rate_hz), MAX_HEARD_FRAMES)
    context_frames = min(round(CONTEXT_S * sample_rate_hz), heard_frames // 3)
    return heard_frames - 2 * context_frames, context_frames


def _block_spans(start_frame: int, end_frame: int, length: int, joint_frames: int) -> list[tuple[int, int]]:
    """Equal spans of about `length` that cover start to end, each reaching `joint_frames` into the next."""
    count = max(1, round((end_frame - start_frame) / length))
    edges = [start_frame + (end_frame - start_frame) * index // count for index in range(count + 1)]
    return [(start, min(end + joint_frames, end_frame)) for start, end in pairwise(edges)]


def _denoised_spans(
    file: soundfile.SoundFile, file_start_frame: int, spans: list[tuple[int, int]], on_progress: Progress | None
) -> Iterator[Block]:
    _, context_frames = _block_lengths(file.samplerate)
    hop_frames = _fft_length(file.samplerate) // 4
    for done, (start_frame, end_frame) in enumerate(spans, start=1):
        first_frame = max(0, start_frame - context_frames)
        # On one grid of STFT frames throughout the source, neighbours agree 8 to 16 dB better.
        first_frame = min(start_frame, first_frame + -(file_start_frame + first_frame) % hop_frames)
        file.seek(first_frame)
        heard = file.read(end_frame + context_frames - first_frame, dtype="float32", always_2d=True)
        yield denoise(heard, file.samplerate)[start_frame - first_frame : end_frame - first_frame]
        if on_progress is not None:
            on_progress(done / len(spans))
