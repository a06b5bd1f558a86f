"""Decoding by PyAV (FFmpeg's libraries): sound tracks of videos, m4a, webm, mp3, wma and whatever libsndfile refuses.

The bytes come from a file that we opened (see open_container.py).
"""

from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from processor_service.audio.open_container import CODEC_ERRORS, ERRORS, best_track, open_container
from processor_service.audio.source import Block, SourceFacts, block_frames
from processor_service.audio_errors import AudioError, empty, undecodable, unsupported_codec

# Duration is guessed from the bit rate, or from time stamps that are often wrong: count the packets instead.
GUESSES_DURATION = {"aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "dts", "flac", "mp3", "mpeg", "mpegts"}
LOSSLESS_CODECS = {"alac", "flac", "wavpack", "ape", "tak", "tta", "truehd", "mlp"}
DEEP_PCM = ("pcm_s24", "pcm_s32", "pcm_s64", "pcm_f")
MAX_IDLE_ERRORS = 50  # errors of the container in a row, after which the rest of the file is given up


class PyAVDecoder:
    """A Decoder (see source.py). Opening decodes the first frame, for headers lie about rate and channels."""

    def __init__(self, path: Path) -> None:
        self._bytes = path.open("rb")
        self._container: InputContainer | None = None
        self._codec_error: Exception | None = None
        self.decode_errors = 0
        try:
            self._container = open_container(self._bytes)
            self._track = best_track(self._container)
            self._frames = self._decoded(self._container)
            self._first = self._first_frame()
            self.facts = _facts(self._container, self._track, self._first, path)
        except BaseException:
            self.close()
            raise

    def blocks(self) -> Iterator[Block]:
        """Blocks at the rate and layout of the first frame, even where the file changes them midway."""
        resampler, kind = self._new_resampler(), _kind(self._first)
        for frame in self._all_frames():
            if _kind(frame) != kind:
                yield from self._converted(resampler, None)
                resampler, kind = self._new_resampler(), _kind(frame)
            yield from self._converted(resampler, frame)
        yield from self._converted(resampler, None)

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._bytes.close()

    def _first_frame(self) -> AudioFrame:
        for frame in self._frames:
            if frame.samples and frame.sample_rate > 0:
                return frame
        if self._codec_error:
            raise unsupported_codec() from self._codec_error
        raise undecodable() if self.decode_errors else empty()

    def _all_frames(self) -> Iterator[AudioFrame]:
        yield self._first
        yield from self._frames

    def _decoded(self, container: InputContainer) -> Iterator[AudioFrame]:
        for packet in self._packets(container):
            try:
                frames = packet.decode()
            except ERRORS as error:
                self._note(error)
            else:
                yield from frames

    def _packets(self, container: InputContainer) -> Iterator["Packet[AudioStream]"]:
        """The track's packets; goes on behind a damaged stretch of the container."""
        idle_errors = 0
        while idle_errors < MAX_IDLE_ERRORS:
            try:
                for packet in container.demux(self._track):
                    idle_errors = 0
                    yield packet
            except ERRORS as error:
                idle_errors += 1
                self._note(error)
            else:
                return

    def _note(self, error: Exception) -> None:
        self.decode_errors += 1
        if isinstance(error, CODEC_ERRORS):
            self._codec_error = error

    def _new_resampler(self) -> AudioResampler:
        rate_hz = self.facts.sample_rate_hz
        return AudioResampler("flt", self._first.layout.name, rate_hz, frame_size=block_frames(rate_hz))

    def _converted(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[Block]:
        if frame is not None:
            frame.pts = None  # gaps and jumps of the clock are not our business; the samples follow one another
        try:
            outputs = resampler.resample(frame)
        except ERRORS as error:
            self._note(error)
            return
        for output in outputs:
            yield np.asarray(output.to_ndarray(), dtype=np.float32).reshape(-1, self.facts.channels)


def _facts(container: InputContainer, track: AudioStream, first: AudioFrame, path: Path) -> SourceFacts:
    codec = track.codec_context.name
    return SourceFacts(
        sample_rate_hz=first.sample_rate,
        channels=first.layout.nb_channels,
        duration_s=_stated_duration(container, track) or _counted_duration(path),
        format=container.format.name.partition(",")[0],
        codec=codec,
        bit_depth=24 if _is_deep(codec, first.format.bytes) else 16,
    )


def _stated_duration(container: InputContainer, track: AudioStream) -> float | None:
    """The duration that the container states for this track, in seconds, where such a statement is reliable."""
    if container.format.name in GUESSES_DURATION:
        return None
    if track.duration and track.time_base:
        return float(track.duration * track.time_base)
    return container.duration / av.time_base if container.duration else None


def _counted_duration(path: Path) -> float | None:
    """The sum of the packets' durations, in seconds, by a pass that decodes nothing."""
    try:
        with path.open("rb") as raw, open_container(raw) as container:
            track = best_track(container)
            ticks = sum(packet.duration or 0 for packet in container.demux(track))
            return float(ticks * track.time_base) if ticks and track.time_base else None
    except (AudioError, *ERRORS):
        return None


def _is_deep(codec: str, sample_bytes: int) -> bool:
    return codec.startswith(DEEP_PCM) or (codec in LOSSLESS_CODECS and sample_bytes > 2)


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
