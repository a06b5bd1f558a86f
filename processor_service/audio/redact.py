"""Write a copy of audio in which some spans are a tone or silence. Its length, rate and channels stay the same."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from processor_service.audio.decode import AudioSource
from processor_service.audio.flac import FlacWriter, bit_depth, read_blocks
from processor_service.audio.source import Block, Mono

Spans = Sequence[tuple[float, float]]  # in seconds, in order and apart from each other

TONE_HZ = 1000.0
TONE_LEVEL = 0.1  # -20 dB of full scale: about as loud as speech
FADE_S = 0.01  # inside a span, at each end


def redact_source(  # noqa: PLR0913 - two settings and two callbacks, all by name
    source: AudioSource,
    out_path: Path,
    spans: Spans,
    *,
    with_tone: bool,
    on_block: Callable[[Block], None],
    on_progress: Callable[[float], None],
) -> None:
    """Write a source as FLAC without what is said in the spans. `on_block` gets what was written. Raise AudioError."""
    rate_hz, channels = source.sample_rate_hz, source.channels
    with FlacWriter(out_path, rate_hz, channels, source.bit_depth_hint) as out:
        for block in redacted_blocks(source, spans, rate_hz, with_tone=with_tone):
            out.write(block)
            on_block(block)
            if source.duration_s:
                on_progress(min(1.0, source.frames_read / rate_hz / source.duration_s))


def shifted(spans: Spans, by_s: float) -> Spans:
    """Return spans on another clock. What begins before it begins at 0."""
    return tuple((max(0.0, start_s + by_s), end_s + by_s) for start_s, end_s in spans if end_s + by_s > 0)


def redact_file(path: Path, out_path: Path, spans: Spans, *, with_tone: bool) -> None:
    """Write a FLAC file of ours without what is said in the spans."""
    with soundfile.SoundFile(path) as file:
        rate_hz = file.samplerate
        with FlacWriter(out_path, rate_hz, file.channels, bit_depth(file)) as out:
            for block in redacted_blocks(read_blocks(file, 0, file.frames), spans, rate_hz, with_tone=with_tone):
                out.write(block)


def redacted_blocks(blocks: Iterable[Block], spans: Spans, rate_hz: int, *, with_tone: bool) -> Iterator[Block]:
    """Yield blocks of the same lengths, with a tone or silence in the spans."""
    frames = [(round(start_s * rate_hz), round(end_s * rate_hz)) for start_s, end_s in spans]
    at, position = 0, 0
    for block in blocks:
        end = position + len(block)
        while at < len(frames) and frames[at][1] <= position:
            at += 1
        inside = list(_before(islice(frames, at, None), end))
        yield _covered(block, position, inside, rate_hz, with_tone=with_tone) if inside else block
        position = end


def _before(frames: Iterable[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    for span in frames:
        if span[0] >= end:
            return
        yield span


def _covered(block: Block, position: int, spans: Iterable[tuple[int, int]], rate_hz: int, *, with_tone: bool) -> Block:
    block = block.copy()
    for start, end in spans:
        first, last = max(start, position), min(end, position + len(block))
        places = np.arange(first, last, dtype=np.float64)
        share = _share(places, start, end, rate_hz)[:, np.newaxis]
        part = block[first - position : last - position]
        part *= 1 - share
        if with_tone:
            part += share * _tone(places, rate_hz)[:, np.newaxis]
    return block


def _share(places: npt.NDArray[np.float64], start: int, end: int, rate_hz: int) -> Mono:
    """Return how much of each frame is replaced: all, but for the fades at both ends of a span."""
    edge = np.minimum(places - start, end - 1 - places) + 0.5
    return np.asarray(np.clip(edge / max(1.0, FADE_S * rate_hz), 0, 1), np.float32)


def _tone(places: npt.NDArray[np.float64], rate_hz: int) -> Mono:
    return np.asarray(TONE_LEVEL * np.sin(places * (2 * np.pi * TONE_HZ / rate_hz)), np.float32)
