"""Decode with PyAV (FFmpeg): audio tracks of videos, m4a, webm, mp3, wma, Ogg, and all that libsndfile refuses."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from processor_service.audio.container import (
    CODEC_ERRORS,
    ERRORS,
    UNKNOWN_STREAM,
    OpenBytes,
    numbered_track,
    open_container,
    read_only,
)
from processor_service.audio.frames import silent_frames, without_start
from processor_service.audio.media_clock import JITTER_S, MediaClock, Silence, Sound
from processor_service.audio.recent_sound import RecentSound
from processor_service.audio.skip_packets import NotPlainError, PacketSkipper, can_skip
from processor_service.audio.skipped_bytes import SkippedBytes, length_s
from processor_service.audio.source import Block, SourceFacts, block_frames
from processor_service.audio.timeline import GUESSES_DURATION, NO_TIME_STAMPS, timeline_of
from processor_service.errors import AudioError, empty, undecodable, unsupported_codec

LOSSLESS_CODECS = {"alac", "flac", "wavpack", "ape", "tak", "tta", "truehd", "mlp"}
DEEP_PCM = ("pcm_s24", "pcm_s32", "pcm_s64", "pcm_f")
MAX_IDLE_ERRORS = 50  # consecutive errors of the container before decoding ends


class PyAVDecoder:
    """A Decoder (source.py). Opening decodes the first frame: headers may have a wrong rate or channel count.

    `track` counts from 0; None is FFmpeg's choice. `like` gives the facts, and so the rate and channels of the blocks;
    without it, the first frame does. Silence in gaps ends before `limit_s`. What is before `start_s` is left out if the
    clock of the container is plain; else `blocks` raises NotPlainError.
    """

    def __init__(
        self,
        open_bytes: OpenBytes,
        *,
        track: int | None = None,
        limit_s: float | None = None,
        start_s: float = 0.0,
        like: SourceFacts | None = None,
    ) -> None:
        self._bytes = open_bytes()
        self._container: InputContainer | None = None
        self._codec_error: Exception | None = None
        self._film_end_s = 0.0
        self._skipped = SkippedBytes()
        self._recent = RecentSound()
        self._start_s, self._read_s = start_s, 0.0
        self.decode_errors = 0
        self.first_frame = 0
        try:
            self._container = open_container(self._bytes)
            self._track = numbered_track(self._container, track)
            self._timeline = timeline_of(self._container, self._track, limit_s)
            self._streams = self._streams_to_read()
            read_only(self._container, *self._streams)
            self._demuxed = self._packets(self._container)
            self._frames = self._decoded(self._demuxed)
            self._first = self._first_frame()
            duration_s = _stated_duration(self._container, self._track)
            if duration_s is None and like is None:
                duration_s = _counted_duration(open_bytes, track)
            self.facts = like or _facts(self._container, self._track, self._first, duration_s)
        except BaseException:
            self.close()
            raise
        self._clock: MediaClock[AudioFrame] = MediaClock(
            origin_s=self._timeline.origin_s, limit_s=self._timeline.limit_s, repeats=self._recent.repeats
        )
        self.clock_report = self._clock.report

    def blocks(self) -> Iterator[Block]:
        """Blocks at the rate and channel count of the facts, even if the file changes them."""
        resampler, kind = self._new_resampler(self._first), _kind(self._first)
        for frame in self._frames_on_clock(self._wanted_frames()):
            if _kind(frame) != kind:
                yield from self._converted(resampler, None)
                resampler, kind = self._new_resampler(frame), _kind(frame)
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

    def _wanted_frames(self) -> Iterable[AudioFrame]:
        """All frames, or those from soon before `start_s` on. Raise NotPlainError."""
        if self._container is None or not can_skip(self._container.format.name, self._start_s, self._read_s):
            return chain((self._first,), self._frames)
        frames = self._after_skipped(self._track.codec_context)
        first = next(frames, None)
        start_s = None if first is None else _sound(first, 0.0).start_s
        if self.decode_errors or (first is not None and start_s is None):
            raise NotPlainError
        if start_s is not None:
            self._clock.position_s = start_s - self._zero_s()
        self.first_frame = round(self._clock.position_s * self.facts.sample_rate_hz)
        return frames if first is None else chain((first,), frames)

    def _after_skipped(self, codec: AudioCodecContext) -> Iterator[AudioFrame]:
        skipper = PacketSkipper(zero_s=self._zero_s(), start_s=self._start_s, read_s=self._read_s)
        for packet in self._demuxed:
            if not skipper.skips(packet):
                codec.flush_buffers()
                yield from self._decoded(chain((packet,), self._demuxed))
                return
        self._clock.position_s = skipper.position_s

    def _zero_s(self) -> float:
        """Return the time stamp of the output's start: that of the first frame, whose jitter the clock ignores."""
        start_s = _sound(self._first, 0.0).start_s
        if start_s is None or abs(start_s - self._timeline.origin_s) > JITTER_S:
            raise NotPlainError
        return start_s

    def _frames_on_clock(self, frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
        """The frames with silence in gaps and at the end of a film, and without overlaps."""
        like = self._first
        for step in self._clock.place(self._sounds(frames)):
            if isinstance(step, Silence):
                yield from silent_frames(step.length_s, like)
                continue
            like = step.content
            self._recent.add(self._clock.position_s - like.samples / like.sample_rate, like)
            yield without_start(like, round(step.cut_s * like.sample_rate))
        yield from silent_frames(self._silent_end_s(), like)

    def _silent_end_s(self) -> float:
        """The length of the film after the end of its sound track; 0 if its clock is not reliable."""
        timeline = self._timeline
        if timeline.film is None or self.decode_errors or self.clock_report.ignored:
            return 0.0
        film_end_s = timeline.end_s if timeline.has_index else min(self._film_end_s, timeline.end_s)
        limit_s = film_end_s if timeline.limit_s is None else timeline.limit_s
        return max(0.0, min(film_end_s, limit_s) - self._clock.position_s)

    def _sounds(self, frames: Iterable[AudioFrame]) -> Iterator[Sound[AudioFrame]]:
        for frame in frames:
            if frame.samples and frame.sample_rate > 0:
                yield _sound(frame, self._skipped.sound_s)

    def _streams_to_read(self) -> tuple[Stream, ...]:
        film = self._timeline.film
        return (self._track,) if film is None or self._timeline.has_index else (self._track, film)

    def _decoded(self, packets: Iterable["Packet[AudioStream]"]) -> Iterator[AudioFrame]:
        for packet in packets:
            self._read_s += length_s(packet)
            try:
                frames = packet.decode()
            except ERRORS as error:
                self._count_error(error)
                if self._container is not None and self._container.format.name in NO_TIME_STAMPS:
                    self._skipped.add_damaged(packet)
            else:
                self._skipped.add_good(packet)
                yield from frames

    def _packets(self, container: InputContainer) -> Iterator["Packet[AudioStream]"]:
        """The packets of the track. Continues after damaged parts of the container."""
        idle_errors = 0
        while idle_errors < MAX_IDLE_ERRORS:
            try:
                for packet in container.demux(*self._streams):
                    idle_errors = 0
                    if packet.stream is self._track:
                        yield cast("Packet[AudioStream]", packet)
                    else:
                        self._film_end_s = max(self._film_end_s, _end_s(packet) - self._timeline.origin_s)
            except UNKNOWN_STREAM:
                continue
            except ERRORS as error:
                idle_errors += 1
                self._count_error(error)
            else:
                return

    def _count_error(self, error: Exception) -> None:
        self.decode_errors += 1
        if isinstance(error, CODEC_ERRORS):
            self._codec_error = error

    def _new_resampler(self, frame: AudioFrame) -> AudioResampler:
        rate_hz = self.facts.sample_rate_hz
        return AudioResampler("flt", frame.layout.name, rate_hz, frame_size=block_frames(rate_hz))

    def _converted(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[Block]:
        if frame is not None:
            frame.pts = None  # the clock has placed it
        try:
            outputs = resampler.resample(frame)
        except ERRORS as error:
            self._count_error(error)
            return
        for output in outputs:
            block = np.asarray(output.to_ndarray(), dtype=np.float32).reshape(-1, output.layout.nb_channels)
            yield _with_channels(block, self.facts.channels)


def _with_channels(block: Block, channels: int) -> Block:
    """The block, or the mean of its channels in each of `channels`. FFmpeg's conversion is 3 dB louder, and clips."""
    return block if block.shape[1] == channels else np.repeat(block.mean(axis=1, keepdims=True), channels, axis=1)


def _end_s(packet: "Packet[Stream]") -> float:
    return float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base)


def _sound(frame: AudioFrame, delay_s: float) -> Sound[AudioFrame]:
    start_s = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base) + delay_s
    return Sound(content=frame, start_s=start_s, length_s=frame.samples / frame.sample_rate)


def _facts(container: InputContainer, track: AudioStream, first: AudioFrame, duration_s: float | None) -> SourceFacts:
    codec = track.codec_context.name
    return SourceFacts(
        sample_rate_hz=first.sample_rate,
        channels=first.layout.nb_channels,
        duration_s=duration_s,
        format=container.format.name.partition(",")[0],
        codec=codec,
        bit_depth=24 if _is_deep(codec, first.format.bytes) else 16,
    )


def _stated_duration(container: InputContainer, track: AudioStream) -> float | None:
    """The duration of the file in seconds from the container; None for formats where it is unreliable."""
    if container.format.name in GUESSES_DURATION:
        return None
    if container.duration:
        return container.duration / av.time_base
    return float(track.duration * track.time_base) if track.duration and track.time_base else None


def _counted_duration(open_bytes: OpenBytes, number: int | None) -> float | None:
    """The sum of the packet durations in seconds, from a pass without decoding."""
    try:
        with open_bytes() as raw, open_container(raw) as container:
            track = numbered_track(container, number)
            ticks = sum(packet.duration or 0 for packet in container.demux(track))
            return float(ticks * track.time_base) if ticks and track.time_base else None
    except (AudioError, UNKNOWN_STREAM, *ERRORS):
        return None


def _is_deep(codec: str, sample_bytes: int) -> bool:
    return codec.startswith(DEEP_PCM) or (codec in LOSSLESS_CODECS and sample_bytes > 2)


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
