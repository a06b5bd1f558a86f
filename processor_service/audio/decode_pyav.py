"""Decode with PyAV (FFmpeg): audio tracks of videos, m4a, webm, mp3, wma, and all that libsndfile refuses.

A hostile file can reach nothing but itself: FFmpeg may not open files or addresses, gets no playlist format, and probes
with audio decoders only.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO, NoReturn

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard

from processor_service.audio.source import Block, SourceFacts, block_frames
from processor_service.errors import AudioError, empty, no_audio_track, undecodable, unsupported_codec

# Containers of plain media. Formats that refer to other files are excluded (hls, dash, concat, sdp …).
FORMATS = (
    "3g2 3gp aac ac3 aiff amr amrnb amrwb ape asf asf_o au avi caf dsf dts eac3 flac flv gsm m4a matroska mj2 mov mp3 "
    "mp4 mpc mpc8 mpeg mpegts mxf ogg rm spx tak tta voc w64 wav webm wtv wv"
).split()
IO_BUFFER_BYTES = 1 << 17
CODEC_ERRORS = (av.error.PatchWelcomeError, av.error.DecoderNotFoundError, av.error.NotImplementedError)
# Besides its own errors PyAV raises built-in ones for some headers: AttributeError for a stream without a codec,
# UnicodeError for names, ValueError for channel layouts, MemoryError for false sizes, PermissionError in _refuse_file.
ERRORS = (av.FFmpegError, AttributeError, ValueError, OSError, MemoryError, RuntimeError, TypeError, OverflowError)


def open_container(raw: BinaryIO) -> InputContainer:
    """Open the container in `raw`, a file opened for reading. Raise AudioError."""
    options = {
        "format_whitelist": ",".join(FORMATS),
        "codec_whitelist": _audio_decoders(),
        "protocol_whitelist": "none",
    }
    try:
        return av.open(
            raw,
            "r",
            container_options=options,
            metadata_errors="replace",
            buffer_size=IO_BUFFER_BYTES,
            io_open=_refuse_file,
        )
    except CODEC_ERRORS as error:
        raise unsupported_codec() from error
    except ERRORS as error:
        raise undecodable() from error


def best_track(container: InputContainer) -> AudioStream:
    """The main audio track by FFmpeg's rules. Reading skips all others."""
    if not container.streams.audio:
        raise no_audio_track()
    best = container.streams.best("audio")
    track = best if isinstance(best, AudioStream) else container.streams.audio[0]
    if track.codec_context is None:
        raise unsupported_codec()
    for stream in container.streams:
        if stream.index != track.index:
            stream.discard = Discard.all
    return track


def _refuse_file(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"the file refers to another file: {url[:100]!r}")


@cache
def _audio_decoders() -> str:
    """The names of all audio decoders. Probing a video must not run a video decoder."""
    names = set()
    for name in av.codecs_available:
        try:
            codec = av.Codec(name, "r")
        except ValueError:  # only an encoder has that name
            continue
        if codec.type == "audio":
            names.add(codec.name)
    return ",".join(sorted(names))


# FFmpeg estimates the duration from the bit rate or from unreliable timestamps: count the packets instead.
GUESSES_DURATION = {"aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "dts", "flac", "mp3", "mpeg", "mpegts"}
LOSSLESS_CODECS = {"alac", "flac", "wavpack", "ape", "tak", "tta", "truehd", "mlp"}
DEEP_PCM = ("pcm_s24", "pcm_s32", "pcm_s64", "pcm_f")
MAX_IDLE_ERRORS = 50  # consecutive errors of the container before decoding ends


class PyAVDecoder:
    """A Decoder (source.py). Opening decodes the first frame: headers may have a wrong rate or channel count."""

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
        """Blocks at the rate and layout of the first frame, even if the file changes them."""
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
                self._count_error(error)
            else:
                yield from frames

    def _packets(self, container: InputContainer) -> Iterator["Packet[AudioStream]"]:
        """The packets of the track. Continues after damaged parts of the container."""
        idle_errors = 0
        while idle_errors < MAX_IDLE_ERRORS:
            try:
                for packet in container.demux(self._track):
                    idle_errors = 0
                    yield packet
            except ERRORS as error:
                idle_errors += 1
                self._count_error(error)
            else:
                return

    def _count_error(self, error: Exception) -> None:
        self.decode_errors += 1
        if isinstance(error, CODEC_ERRORS):
            self._codec_error = error

    def _new_resampler(self) -> AudioResampler:
        rate_hz = self.facts.sample_rate_hz
        return AudioResampler("flt", self._first.layout.name, rate_hz, frame_size=block_frames(rate_hz))

    def _converted(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[Block]:
        if frame is not None:
            frame.pts = None  # ignore gaps and jumps of the timestamps: samples are consecutive
        try:
            outputs = resampler.resample(frame)
        except ERRORS as error:
            self._count_error(error)
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
    """The duration of the track in seconds from the container; None for formats where it is unreliable."""
    if container.format.name in GUESSES_DURATION:
        return None
    if track.duration and track.time_base:
        return float(track.duration * track.time_base)
    return container.duration / av.time_base if container.duration else None


def _counted_duration(path: Path) -> float | None:
    """The sum of the packet durations in seconds, from a pass without decoding."""
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
