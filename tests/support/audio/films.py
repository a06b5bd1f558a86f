"""Films whose sound tracks have any time stamps, written with PyAV."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from tests.support.audio.signals import Signal

Stamp = Callable[[float], float | None]  # the time stamp of a packet by its second; None drops it
CODECS = {"mp4": "aac", "mov": "aac", "m4a": "aac", "mkv": "libopus", "webm": "libopus", "ts": "aac", "flv": "aac",
          "avi": "libmp3lame", "ogg": "libopus", "ogv": "libopus", "mpg": "mp2"}  # fmt: skip
VIDEO_HZ = 10
TIME_BASE = Fraction(1, 90_000)


def write_film(  # noqa: PLR0913 - one recording, by name
    path: Path,
    signal: Signal,
    rate_hz: int = 48_000,
    *,
    stamp: Stamp = lambda at_s: at_s,
    video_s: float = 0.0,
    video_from_s: float = 0.0,
    codec: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A file with a sound track and, with `video_s`, a black video."""
    with av.open(str(path), "w", options=options or {}) as container:
        video: list[Packet[Any]] = list(_video_packets(container, video_s, video_from_s)) if video_s else []
        sound: list[Packet[Any]] = [
            packet
            for packet in _sound_packets(container, signal, rate_hz, codec or CODECS[path.suffix[1:]])
            if _restamp(packet, stamp)
        ]
        for packet in sorted([*video, *sound], key=_order):
            container.mux(packet)
    return path


def _restamp(packet: "Packet[AudioStream]", stamp: Stamp) -> bool:
    at_s = stamp(float((packet.pts or 0) * packet.time_base))
    if at_s is None:
        return False
    packet.pts = packet.dts = round(at_s / TIME_BASE)
    packet.time_base = TIME_BASE
    return True


def _order(packet: "Packet[Stream]") -> float:
    return float((packet.dts or 0) * packet.time_base)


def _sound_packets(
    container: OutputContainer, signal: Signal, rate_hz: int, codec: str
) -> Iterator["Packet[AudioStream]"]:
    stream = container.add_stream(codec, rate=rate_hz, layout="mono")
    assert isinstance(stream, AudioStream)
    stream.codec_context.bit_rate = 64_000
    frame = av.AudioFrame.from_ndarray(signal[np.newaxis], "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    frame_size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(stream.format, "mono", rate_hz, frame_size=frame_size)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        yield from stream.encode(part)
    yield from stream.encode(None)


def _video_packets(container: OutputContainer, length_s: float, from_s: float) -> Iterator["Packet[VideoStream]"]:
    codec = {"webm": "libvpx", "ogv": "libvpx", "mpg": "mpeg2video", "ts": "mpeg2video", "flv": "flv"}
    rate_hz = 25 if container.format.name in {"mpegts", "mpeg"} else VIDEO_HZ
    stream = container.add_stream(codec.get(Path(container.name).suffix[1:], "mpeg4"), rate=rate_hz)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    stream.codec_context.max_b_frames = 0
    frames = [av.VideoFrame(64, 64, "yuv420p") for _ in range(round(length_s * rate_hz))]
    for number, frame in enumerate(frames):
        for plane in frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        frame.pts, frame.time_base = number + round(from_s * rate_hz), Fraction(1, rate_hz)
        yield from stream.encode(frame)
    yield from stream.encode(None)
