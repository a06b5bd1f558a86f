"""Open an audio or video file as a stream of float32 blocks."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from processor_service.audio.container import OpenBytes, open_file
from processor_service.audio.decode_ogg import MAGIC as OGG_MAGIC
from processor_service.audio.decode_ogg import OggDecoder
from processor_service.audio.decode_pyav import PyAVDecoder
from processor_service.audio.decode_soundfile import SoundfileDecoder
from processor_service.audio.media_clock import ClockReport
from processor_service.audio.source import Block, Decoder, SourceFacts
from processor_service.audio.tracks import TrackChoice, choose_track, only_track
from processor_service.errors import AudioError, empty, too_long, unsupported_audio

MIN_SAMPLE_RATE_HZ = 4_000  # below, speech is not intelligible
MAX_SAMPLE_RATE_HZ = 384_000
MAX_CHANNELS = 8  # the maximum of FLAC


class AudioSource:
    """An opened file. One iteration yields blocks of shape (frames, channels), finite, from -1 to 1.

    The iteration raises AudioError when the audio is too long, empty or undecodable.
    """

    def __init__(self, path: Path, decoder: Decoder, choice: TrackChoice, max_audio_s: float | None) -> None:
        self._path = path
        self._decoder = decoder
        self.track_choice = choice
        self._max_audio_s = max_audio_s
        self._more_errors = 0
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
        return self._decoder.decode_errors + self._more_errors

    @property
    def clock_report(self) -> ClockReport:
        """Where sound was missing, and where time stamps were ignored, so far."""
        return self._decoder.clock_report

    def __iter__(self) -> Iterator[Block]:
        for block in self._all_blocks():
            self._count(len(block))
            yield _clean(block)
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

    def _all_blocks(self) -> Iterator[Block]:
        """The blocks of the decoder. If libsndfile fails midway, PyAV reads the rest."""
        try:
            yield from self._decoder.blocks()
        except AudioError:
            self._more_errors += 1
            yield from self._rest()

    def _rest(self) -> Iterator[Block]:
        position = self.frames_read
        try:
            other = PyAVDecoder(partial(open_file, self._path), limit_s=self._max_audio_s)
        except AudioError:
            if position:
                return
            raise
        try:
            if _same_shape(other.facts, self._decoder.facts):
                yield from _skip(other.blocks(), position)
        finally:
            self._more_errors += other.decode_errors
            other.close()


def open_source(path: Path, *, track: int | None = None, max_audio_s: float | None = None) -> AudioSource:
    """Open a file with libsndfile, or with PyAV if libsndfile does not read it well.

    `track` counts from 0; None chooses one with speech. Raise AudioError if the file has no decodable audio.
    """
    decoder, choice = _open_decoder(path, track, max_audio_s)
    try:
        choice = choice or only_track(decoder.facts, track)
        _check_bounds(decoder.facts)
    except AudioError:
        decoder.close()
        raise
    return AudioSource(path, decoder, choice, max_audio_s)


def _open_decoder(path: Path, track: int | None, limit_s: float | None) -> tuple[Decoder, TrackChoice | None]:
    """The decoder, and the choice of the track in formats that may have several."""
    open_bytes = partial(open_file, path)
    if _starts_with(path, OGG_MAGIC):
        choice = _choose_in_ogg(open_bytes, track)
        return OggDecoder(path, track=choice.number, limit_s=limit_s), choice
    try:
        return SoundfileDecoder(path), None
    except AudioError:
        choice = choose_track(open_bytes, track)
        return PyAVDecoder(open_bytes, track=choice.number, limit_s=limit_s), choice


def _choose_in_ogg(open_bytes: OpenBytes, track: int | None) -> TrackChoice:
    """The choice for all links of a chain, of which the first may be damaged."""
    try:
        return choose_track(open_bytes, track)
    except AudioError:
        if track:
            raise
        return TrackChoice(number=0)


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


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


def _same_shape(one: SourceFacts, other: SourceFacts) -> bool:
    return (one.sample_rate_hz, one.channels) == (other.sample_rate_hz, other.channels)


def _skip(blocks: Iterator[Block], frames: int) -> Iterator[Block]:
    for block in blocks:
        yield block[frames:]
        frames = max(0, frames - len(block))
