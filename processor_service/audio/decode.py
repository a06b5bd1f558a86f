"""Open an audio or video file as a stream of float32 blocks."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from processor_service.audio.decode_pieces import OpenedFile, Reading, open_file
from processor_service.audio.media_clock import ClockReport
from processor_service.audio.source import Block, SourceFacts
from processor_service.errors import empty, starts_after_end, too_long, unsupported_audio
from shared.schemas.job_parts import WHOLE, Part

MIN_SAMPLE_RATE_HZ = 4_000  # below, speech is not intelligible
MAX_SAMPLE_RATE_HZ = 384_000
MAX_CHANNELS = 8  # the maximum of FLAC


class AudioSource:
    """An opened file. One iteration yields blocks of shape (frames, channels) of the part, finite, from -1 to 1.

    The iteration raises AudioError when the part is too long, empty, beyond the end or undecodable.
    """

    def __init__(self, opened: OpenedFile, max_audio_s: float | None, part: Part = WHOLE) -> None:
        decoder = opened.decoder
        self._decoder = decoder
        self._max_audio_s = max_audio_s
        self._part = part
        self.start_frame = round(part.start_s * decoder.facts.sample_rate_hz)
        self._end_frame = None if part.end_s is None else round(part.end_s * decoder.facts.sample_rate_hz)
        self.track_choice = opened.choice
        self.unread_bytes = opened.unread_bytes
        self.sample_rate_hz = decoder.facts.sample_rate_hz
        self.channels = decoder.facts.channels
        self.duration_s = _part_s(decoder.facts.duration_s, part)
        self.format = decoder.facts.format
        self.codec = decoder.facts.codec
        self.bit_depth_hint = decoder.facts.bit_depth
        self.frames_read = 0

    @property
    def decode_errors(self) -> int:
        """The number of damaged parts skipped so far."""
        return self._decoder.decode_errors

    @property
    def clock_report(self) -> ClockReport:
        """Where sound was missing, and where time stamps were ignored, so far."""
        return self._decoder.clock_report

    def __iter__(self) -> Iterator[Block]:
        end_frame = 0
        for block in self._decoder.blocks():
            first_frame = end_frame or self._decoder.first_frame
            end_frame = first_frame + len(block)
            wanted = self._wanted(block, first_frame)
            if len(wanted):
                self._count(len(wanted))
                yield _clean(wanted)
            if self._end_frame is not None and end_frame >= self._end_frame:
                break
        if not self.frames_read:
            end_s = (end_frame or self._decoder.first_frame) / self.sample_rate_hz
            raise starts_after_end(self._part.start_s, end_s) if end_s else empty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoder.close()

    def _wanted(self, block: Block, first_frame: int) -> Block:
        """Return what a block has of the part."""
        if self._end_frame is None and first_frame >= self.start_frame:
            return block
        end = len(block) if self._end_frame is None else max(0, self._end_frame - first_frame)
        return block[max(0, self.start_frame - first_frame) : end]

    def _count(self, frames: int) -> None:
        self.frames_read += frames
        if self._max_audio_s is not None and self.frames_read > self._max_audio_s * self.sample_rate_hz:
            raise too_long(self._max_audio_s)


def open_source(
    path: Path, *, track: int | None = None, max_audio_s: float | None = None, part: Part = WHOLE
) -> AudioSource:
    """Open a file: one recording, or several that were joined.

    `track` counts from 0; None chooses one with speech. `max_audio_s` is the longest part. Raise AudioError if the file
    has no decodable audio.
    """
    limit_s = None if max_audio_s is None else part.start_s + max_audio_s
    opened = open_file(path, _check_bounds, Reading(track=track, limit_s=limit_s, start_s=part.start_s))
    return AudioSource(opened, max_audio_s, part)


def _part_s(duration_s: float | None, part: Part) -> float | None:
    """Return the length of a part, as far as a file states its own; None if neither is known."""
    if part == WHOLE or duration_s is None:
        return part.length_s if duration_s is None else duration_s
    end_s = duration_s if part.end_s is None else min(duration_s, part.end_s)
    return end_s - part.start_s if end_s > part.start_s else None


def _check_bounds(facts: SourceFacts) -> None:
    rate_hz, channels = facts.sample_rate_hz, facts.channels
    if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise unsupported_audio(
            f"The sample rate is {rate_hz} Hz; from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz are supported."
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise unsupported_audio(f"The audio has {channels} channels; 1 to {MAX_CHANNELS} are supported.")


def _clean(block: Block) -> Block:
    """The block with NaN and infinity set to 0, and clipped to full scale."""
    if not np.isfinite(block).all():
        block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(block, -1.0, 1.0)
