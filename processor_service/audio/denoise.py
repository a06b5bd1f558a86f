"""Denoise a chunk at the rate and channels of the source.

The work is done in blocks with context, which are cross-faded, so that memory is bounded.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from processor_service.audio.flac import FlacWriter, bit_depth
from processor_service.audio.join import half_fade_frames, join_overlapping
from processor_service.audio.source import Block, Mono, Progress
from processor_service.audio.write_chunks import ChunkFile
from processor_service.denoisers.denoiser import Cleaner, Denoiser

JOINT_S = 0.1
SILENT_PEAK = 1e-6  # -120 dB: treated as silence
EXCERPT_PIECES, EXCERPT_PIECE_S = 12, 5.0  # of a chunk, for a denoiser that needs an excerpt

Span = tuple[int, int]  # frames, end excluded


def denoise_chunk(
    chunk: ChunkFile, out_path: Path, denoiser: Denoiser, *, fade_s: float, on_progress: Progress | None = None
) -> None:
    """Write the denoised core of a chunk file, plus half a fade on each side that has a neighbour."""
    with soundfile.SoundFile(chunk.path) as file:
        wanted = _wanted_span(chunk, file.frames, half_fade_frames(fade_s, file.samplerate))
        joint_frames = round(JOINT_S * file.samplerate)
        spans = block_spans(wanted, block_frames(denoiser, file.samplerate), joint_frames)
        context_spans = _context_spans(spans, denoiser, file.samplerate, chunk.file_start_frame)
        cleaners = _cleaners(file, denoiser)
        pieces = ([block] for block in _denoised(file, spans, context_spans, cleaners, on_progress))
        with FlacWriter(out_path, file.samplerate, file.channels, bit_depth(file)) as out:
            for block in join_overlapping(pieces, joint_frames if len(spans) > 1 else 0):
                out.write(block)


def denoise(block: Block, wanted: Span, cleaners: Sequence[Cleaner]) -> Block:
    """Denoise the span `wanted` of a block (frames, channels). The result is finite and within full scale."""
    cleaned: list[Mono] = []
    for index, (channel, clean) in enumerate(zip(block.T, cleaners, strict=True)):
        is_same = index > 0 and np.array_equal(channel, block[:, index - 1])  # mono stored as stereo
        cleaned.append(cleaned[-1] if is_same else _clean(np.ascontiguousarray(channel), wanted, clean))
    return np.clip(np.stack(cleaned, axis=1), -1.0, 1.0)


def block_frames(denoiser: Denoiser, sample_rate_hz: int) -> int:
    """The approximate length of a block without its context."""
    return denoiser.max_input_frames(sample_rate_hz) - sum(_context_frames(denoiser, sample_rate_hz))


def block_spans(wanted: Span, length: int, joint_frames: int) -> list[Span]:
    """Equal spans of about `length` that cover `wanted`. Each reaches `joint_frames` into the next."""
    start_frame, end_frame = wanted
    count = max(1, round((end_frame - start_frame) / length))
    edges = [start_frame + (end_frame - start_frame) * index // count for index in range(count + 1)]
    return [(start, min(end + joint_frames, end_frame)) for start, end in pairwise(edges)]


def _clean(samples: Mono, wanted: Span, clean: Cleaner) -> Mono:
    start, end = wanted
    if float(np.abs(samples).max(initial=0.0)) < SILENT_PEAK:
        return samples[start:end]
    return clean(samples, start, end)


def _wanted_span(chunk: ChunkFile, file_frames: int, half_fade: int) -> Span:
    """The span to denoise, in frames of the file."""
    start_frame = max(0, chunk.core_start_frame - chunk.file_start_frame - half_fade)
    end_frame = min(file_frames, chunk.core_end_frame - chunk.file_start_frame + half_fade)
    return start_frame, end_frame


def _context_frames(denoiser: Denoiser, sample_rate_hz: int) -> tuple[int, int]:
    """The context before and after a block. At the highest rates memory allows less."""
    maximum = denoiser.max_input_frames(sample_rate_hz) // 3
    before, after = denoiser.context_before_s, denoiser.context_after_s
    return min(round(before * sample_rate_hz), maximum), min(round(after * sample_rate_hz), maximum)


def _context_spans(spans: list[Span], denoiser: Denoiser, sample_rate_hz: int, file_start_frame: int) -> Iterator[Span]:
    """Each span with its context, starting on the grid of the denoiser. The end may be beyond the file."""
    before, after = _context_frames(denoiser, sample_rate_hz)
    grid = denoiser.grid_frames(sample_rate_hz)
    for start_frame, end_frame in spans:
        first_frame = max(0, start_frame - before)
        yield min(start_frame, first_frame + -(file_start_frame + first_frame) % grid), end_frame + after


def _cleaners(file: soundfile.SoundFile, denoiser: Denoiser) -> list[Cleaner]:
    """One cleaner per channel: their background noise may differ."""
    if not denoiser.wants_excerpt:
        return [denoiser.cleaner(file.samplerate, None) for _ in range(file.channels)]
    return [denoiser.cleaner(file.samplerate, np.ascontiguousarray(channel)) for channel in _excerpt(file).T]


def _excerpt(file: soundfile.SoundFile) -> Block:
    """One minute of the file in evenly spread pieces, or all of a shorter file: (frames, channels)."""
    length = min(-(-file.frames // EXCERPT_PIECES), round(EXCERPT_PIECE_S * file.samplerate))
    pieces: list[Block] = []
    for index in range(EXCERPT_PIECES):
        file.seek((file.frames - length) * index // (EXCERPT_PIECES - 1))
        pieces.append(file.read(length, dtype="float32", always_2d=True))
    return np.concatenate(pieces)


def _denoised(
    file: soundfile.SoundFile,
    spans: list[Span],
    context_spans: Iterator[Span],
    cleaners: list[Cleaner],
    on_progress: Progress | None,
) -> Iterator[Block]:
    for done, (span, context) in enumerate(zip(spans, context_spans, strict=True), start=1):
        file.seek(context[0])
        block = file.read(context[1] - context[0], dtype="float32", always_2d=True)
        yield denoise(block, (span[0] - context[0], span[1] - context[0]), cleaners)
        if on_progress is not None:
            on_progress(done / len(spans))
