"""Open an audio or video file as a stream of float32 blocks."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from processor_service.audio.decode_pieces import OpenedFile, Reading, open_file
from processor_service.audio.media_clock import ClockReport
from processor_service.audio.source import Block, SourceFacts
from processor_service.errors import empty, too_long, unsupported_audio

MIN_SAMPLE_RATE_HZ = 4_000  # below, speech is not intelligible
MAX_SAMPLE_RATE_HZ = 384_000
MAX_CHANNELS = 8  # the maximum of FLAC


class AudioSource:
    """An opened file. One iteration yields blocks of shape (frames, channels), finite, from -1 to 1.

    The iteration raises AudioError when the audio is too long, empty or undecodable.
    """

    def __init__(self, opened: OpenedFile, max_audio_s: float | None, first_s: float | None = None) -> None:
        decoder = opened.decoder
        self._decoder = decoder
        self._max_audio_s = max_audio_s
        self._enough_frames = None if first_s is None else first_s * decoder.facts.sample_rate_hz
        self.track_choice = opened.choice
        self.unread_bytes = opened.unread_bytes
        self.sample_rate_hz = decoder.facts.sample_rate_hz
        self.channels = decoder.facts.channels
        self.duration_s = decoder.facts.duration_s
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
        for block in self._decoder.blocks():
            self._count(len(block))
            yield _clean(block)
            if self._enough_frames is not None and self.frames_read >= self._enough_frames:
                return
        if not self.frames_read:
            raise empty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoder.close()

    def _count(self, frames: int) -> None:
        self.frames_read += frames
        if self._max_audio_s is not None and self.frames_read > self._max_audio_s * self.sample_rate_hz:
            raise too_long(self._max_audio_s)


def open_source(
    path: Path, *, track: int | None = None, max_audio_s: float | None = None, first_s: float | None = None
) -> AudioSource:
    """Open a file: one recording, or several that were joined.

    `track` counts from 0; None chooses one with speech. With `first_s`, the iteration ends soon after so much audio.
    Raise AudioError if the file has no decodable audio.
    """
    return AudioSource(open_file(path, _check_bounds, Reading(track=track, limit_s=max_audio_s)), max_audio_s, first_s)


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
