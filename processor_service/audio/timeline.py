"""Where a file's own clock starts and ends, as a player shows it."""

import av
import msgspec
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

NO_TIME_STAMPS = {"aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "dts", "mp3"}
# FFmpeg estimates the duration from the bit rate or from unreliable time stamps.
GUESSES_DURATION = {*NO_TIME_STAMPS, "flac", "mpeg", "mpegts"}
ROUNDING_S = 1.0  # stated lengths may be this much too short
MIN_BYTES_PER_S = 100  # a file with less per second of stated length lies: the poorest film has more


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; all but `origin_s`, a time stamp, count from the start that a player shows."""

    origin_s: float  # the time stamp of the start: that of the earliest track
    limit_s: float | None  # no time stamp after this is believed
    end_s: float  # the stated end, 0 if it is not stated or not plausible
    film: VideoStream | None  # lasts to the end, perhaps longer than the sound
    has_index: bool  # the stated end is that of the index: it does not need to be read


def timeline_of(container: InputContainer, track: AudioStream, longest_s: float | None) -> Timeline:
    """The timeline of an opened container. Nothing on it is after `longest_s`."""
    length_s = (container.duration or 0) / av.time_base
    is_stated = length_s > 0 and container.format.name not in GUESSES_DURATION
    return Timeline(
        origin_s=_start_s(container, track),
        limit_s=_least(longest_s, length_s + ROUNDING_S if is_stated else None),
        end_s=length_s if container.size >= MIN_BYTES_PER_S * length_s else 0.0,
        film=_film(container),
        has_index=container.format.name.startswith("mov"),
    )


def _start_s(container: InputContainer, track: AudioStream) -> float:
    if container.start_time is not None:
        return container.start_time / av.time_base
    if track.start_time is not None and track.time_base:
        return float(track.start_time * track.time_base)
    return 0.0


def _film(container: InputContainer) -> VideoStream | None:
    """The first video that is not a cover picture."""
    videos = (one for one in container.streams.video if not one.disposition & Disposition.attached_pic)
    return next(videos, None)


def _least(one: float | None, other: float | None) -> float | None:
    return min((bound for bound in (one, other) if bound is not None), default=None)
