"""Write a source as one or more FLAC files in one streaming pass. Each is announced when it is complete.

split.py decides the cuts. Memory holds the part that is searched for a cut.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import soxr

from processor_service.audio.decode import AudioSource
from processor_service.audio.flac import FlacWriter
from processor_service.audio.mix_channels import mix_channels
from processor_service.audio.source import Block, Progress
from processor_service.audio.split import SAMPLE_RATE_HZ, SplitPlan, choose_cut, plan_split
from processor_service.audio.tracks import TrackChoice


class HeldFrames:
    """The blocks (frames, channels) of a stream that are still needed, from `start_frame` to `end_frame`."""

    def __init__(self, channels: int, start_frame: int = 0) -> None:
        self._blocks: deque[Block] = deque()
        self._empty: Block = np.zeros((0, channels), np.float32)
        self.start_frame = start_frame
        self.end_frame = start_frame

    def append(self, block: Block) -> None:
        self._blocks.append(block)
        self.end_frame += len(block)

    def read(self, start_frame: int, end_frame: int) -> Block:
        """A copy of the frames from `start_frame` to `end_frame`, which must be held."""
        parts = [self._empty]
        position = self.start_frame
        for block in self._blocks:
            parts.append(block[max(0, start_frame - position) : max(0, end_frame - position)])
            position += len(block)
        return np.concatenate(parts)

    def drop_before(self, frame: int) -> None:
        """Drop the blocks that end before the frame."""
        while self._blocks and self.start_frame + len(self._blocks[0]) <= frame:
            self.start_frame += len(self._blocks.popleft())


SILENCE_DBFS = -200.0  # the peak of digital silence, whose logarithm is not defined


class ChunkFile(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk in a file with context from its neighbours. Frames are counted from the start of the source."""

    path: str
    ordinal: int
    file_start_frame: int  # the first frame of the file: context precedes the core, except at the start of the source
    core_start_frame: int  # the cores of all chunks contain each frame of the source once
    core_end_frame: int
    sample_rate_hz: int
    channels: int
    starts_in_speech: bool = False  # cut without a pause: the previous chunk transcribes the words around the cut, too
    ends_in_speech: bool = False


class PreparedAudio(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a completely decoded source, or of its part."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    decode_errors: int  # damaged parts skipped
    chunk_count: int
    format: str = ""
    peak_dbfs: float = SILENCE_DBFS
    missing_s: tuple[tuple[float, float], ...] = ()  # spans without sound inside the track, filled with silence
    track_choice: TrackChoice = TrackChoice(number=0)
    jumps_s: tuple[float, ...] = ()  # where the time stamps of the file jump and were not believed
    unread_bytes: int = 0  # behind the audio, that no decoder knows


def write_chunks(  # noqa: PLR0913 - two settings and three callbacks, all by name
    source: AudioSource,
    out_dir: Path,
    *,
    threshold_s: float = 1800.0,
    chunk_s: float = 600.0,
    on_chunk: Callable[[ChunkFile], None],
    on_progress: Progress | None = None,
    on_block: Callable[[Block], None] = lambda _: None,
) -> PreparedAudio:
    """Decode the source to FLAC chunks at its own rate and channels. Raise AudioError.

    `on_chunk` may delete the file. `on_block` gets what was decoded, in order. No progress is reported for a source
    without a stated duration.
    """
    plan = plan_split(
        source.duration_s,
        sample_rate_hz=source.sample_rate_hz,
        channels=source.channels,
        threshold_s=threshold_s,
        chunk_s=chunk_s,
    )
    with _Splitter(source, out_dir, plan, on_chunk) as splitter:
        for block in source:
            splitter.add(block)
            on_block(block)
            if on_progress is not None and source.duration_s:
                on_progress(min(1.0, source.frames_read / source.sample_rate_hz / source.duration_s))
        splitter.finish()
    return _prepared(source, splitter)


class _Splitter:
    """The pass over the source. Holds the audio that may be near the next cut and writes the rest."""

    def __init__(
        self, source: AudioSource, out_dir: Path, plan: SplitPlan, on_chunk: Callable[[ChunkFile], None]
    ) -> None:
        self._source = source
        self._out_dir = out_dir
        self._plan = plan
        self._on_chunk = on_chunk
        self._held = HeldFrames(source.channels, source.start_frame)
        self._target_frame = source.start_frame + plan.first_frame
        self._core_start_frame = source.start_frame
        self._starts_in_speech = False
        self._file_start_frame = source.start_frame
        self.chunk_count = 0
        self.peak = 0.0
        self._writer = self._open_writer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.abandon()

    def add(self, block: Block) -> None:
        self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
        self._held.append(block)
        while self._held.end_frame >= self._target_frame + self._plan.search_frames + self._plan.tail_frames:
            self._cut(*self._find_cut())
        self._write_until(self._target_frame - self._plan.search_frames - self._plan.context_frames)

    def finish(self) -> None:
        self._write_until(self._held.end_frame)
        self._close_chunk(self._held.end_frame, in_speech=False)

    def _find_cut(self) -> tuple[int, bool]:
        """The frame of the cut, and whether it is in speech."""
        start_frame = self._target_frame - self._plan.search_frames
        searched = self._held.read(start_frame, self._target_frame + self._plan.search_frames)
        rate_hz = self._source.sample_rate_hz
        mono = mix_channels(soxr.resample(searched, rate_hz, SAMPLE_RATE_HZ))
        cut = choose_cut(mono)
        return start_frame + min(len(searched), round(cut.at_s * rate_hz)), cut.in_speech

    def _cut(self, cut_frame: int, in_speech: bool) -> None:  # noqa: FBT001 - a pair from _find_cut
        self._write_until(cut_frame + self._plan.context_frames, keep=True)
        self._close_chunk(cut_frame, in_speech=in_speech)
        self._core_start_frame = cut_frame
        self._starts_in_speech = in_speech
        self._file_start_frame = max(0, cut_frame - self._plan.context_frames)
        self._target_frame += self._plan.step_frames
        self._writer = self._open_writer()

    def _write_until(self, end_frame: int, *, keep: bool = False) -> None:
        """Write the held frames up to `end_frame`. With `keep`, the next chunk needs them again."""
        start_frame = self._file_start_frame + self._writer.frames
        if end_frame > start_frame:
            self._writer.write(self._held.read(start_frame, end_frame))
            if not keep:
                self._held.drop_before(end_frame)

    def _open_writer(self) -> FlacWriter:
        source = self._source
        path = self._out_dir / f"{self.chunk_count}.flac"
        return FlacWriter(path, source.sample_rate_hz, source.channels, source.bit_depth_hint)

    def _close_chunk(self, core_end_frame: int, *, in_speech: bool) -> None:
        self._writer.close()
        chunk = ChunkFile(
            path=str(self._writer.path),
            ordinal=self.chunk_count,
            file_start_frame=self._file_start_frame,
            core_start_frame=self._core_start_frame,
            core_end_frame=core_end_frame,
            sample_rate_hz=self._source.sample_rate_hz,
            channels=self._source.channels,
            starts_in_speech=self._starts_in_speech,
            ends_in_speech=in_speech,
        )
        self.chunk_count += 1
        self._on_chunk(chunk)


def _prepared(source: AudioSource, splitter: _Splitter) -> PreparedAudio:
    return PreparedAudio(
        duration_s=source.frames_read / source.sample_rate_hz,
        sample_rate_hz=source.sample_rate_hz,
        channels=source.channels,
        codec=source.codec,
        format=source.format,
        decode_errors=source.decode_errors,
        chunk_count=splitter.chunk_count,
        missing_s=tuple(_of_part(source, source.clock_report.missing)),
        jumps_s=tuple(at_s for at_s, _ in _of_part(source, [(at_s, at_s) for at_s in source.clock_report.ignored])),
        track_choice=source.track_choice,
        unread_bytes=source.unread_bytes,
        peak_dbfs=max(SILENCE_DBFS, 20 * float(np.log10(max(splitter.peak, 1e-12)))),
    )


def _of_part(source: AudioSource, spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Return what the spans, in seconds of the source, have of its part."""
    start_s = source.start_frame / source.sample_rate_hz
    end_s = start_s + source.frames_read / source.sample_rate_hz
    return ((max(one, start_s), min(other, end_s)) for one, other in spans if other >= start_s and one <= end_s)
