"""Join overlapping pieces by a cross-fade: the denoised blocks of a chunk, and the denoised chunks of a file."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from processor_service.audio.flac import FlacWriter, bit_depth, read_blocks
from processor_service.audio.source import Block

FADE_S = 0.5  # overlap of consecutive denoised chunks


def join_denoised(paths: Sequence[Path], out_path: Path, *, fade_s: float) -> None:
    """Join the denoised chunks of a file, in order, to one FLAC file of exactly the length of the source."""
    with soundfile.SoundFile(paths[0]) as first:
        rate_hz, channels, depth = first.samplerate, first.channels, bit_depth(first)
    pieces = (_file_blocks(path) for path in paths)
    with FlacWriter(out_path, rate_hz, channels, depth) as out:
        for block in join_overlapping(pieces, 2 * half_fade_frames(fade_s, rate_hz)):
            out.write(block)


def half_fade_frames(fade_s: float, sample_rate_hz: int) -> int:
    """How far a denoised chunk reaches beyond its core towards a neighbour."""
    return round(fade_s * sample_rate_hz / 2)


def join_overlapping(pieces: Iterable[Iterable[Block]], fade_frames: int) -> Iterator[Block]:
    """Join pieces (streams of blocks), each of which begins `fade_frames` before the end of the previous one.

    Raise ValueError for a piece shorter than `fade_frames`, or a middle one shorter than twice that.
    """
    tail: Block | None = None
    for piece in pieces:
        blocks = iter(piece)
        if tail is not None:
            head, rest = _take(blocks, fade_frames)
            yield cross_fade(tail, head)
            blocks = chain([rest], blocks)
        tail = yield from _all_but_tail(blocks, fade_frames)
    if tail is not None:
        yield tail


def cross_fade(old: Block, new: Block) -> Block:
    """Fade linearly from one block to the other. Linear, because the signals are similar; equal ones are unchanged."""
    if len(old) != len(new):
        raise ValueError(f"a piece is shorter than the overlap: {len(old)} and {len(new)} frames")
    weights = ((np.arange(len(new), dtype=np.float32) + 0.5) / max(1, len(new)))[:, np.newaxis]
    return np.asarray(old + (new - old) * weights, dtype=np.float32)


def _all_but_tail(blocks: Iterable[Block], tail_frames: int) -> Generator[Block, None, Block]:
    """Yield all but the last `tail_frames`, and return those."""
    held: Block | None = None
    for block in blocks:
        held = block if held is None else np.concatenate([held, block])
        if len(held) > tail_frames:
            yield held[: len(held) - tail_frames]
            held = held[len(held) - tail_frames :]
    if held is None or len(held) < tail_frames:
        raise ValueError(f"a piece is shorter than the overlap of {tail_frames} frames")
    return held


def _take(blocks: Iterator[Block], frames: int) -> tuple[Block, Block]:
    """The first `frames` of the stream, and the rest of what was read."""
    parts = [next(blocks)]
    while sum(map(len, parts)) < frames and (block := next(blocks, None)) is not None:
        parts.append(block)
    whole = np.concatenate(parts)
    return whole[:frames], whole[frames:]


def _file_blocks(path: Path) -> Iterator[Block]:
    with soundfile.SoundFile(path) as file:
        yield from read_blocks(file, 0, file.frames)
