"""Open a media file with PyAV (FFmpeg), and choose its audio track.

A hostile file can reach nothing but itself: FFmpeg may not open files or addresses, gets no playlist format, and probes
with audio decoders only.
"""

from collections.abc import Callable
from functools import cache
from typing import BinaryIO, NoReturn

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Stream

from processor_service.errors import no_audio_track, no_such_track, undecodable, unsupported_codec

# Containers of plain media. Formats that refer to other files are excluded (hls, dash, concat, sdp …).
FORMATS = (
    "3g2 3gp aac ac3 aiff amr amrnb amrwb ape asf asf_o au avi caf dsf dts eac3 flac flv gsm m4a matroska mj2 mov mp3 "
    "mp4 mpc mpc8 mpeg mpegts mxf ogg rm spx tak tta voc w64 wav webm wtv wv "
    "dss dtshd iff ircam loas mlp nistsphere nut oma qcp shn truehd xwma"
).split()
OpenBytes = Callable[[], BinaryIO]
IO_BUFFER_BYTES = 1 << 17
CODEC_ERRORS = (av.error.PatchWelcomeError, av.error.DecoderNotFoundError, av.error.NotImplementedError)
# Besides its own errors PyAV raises built-in ones for some headers: AttributeError for a stream without a codec,
# UnicodeError for names, ValueError for channel layouts, MemoryError for false sizes, PermissionError in _refuse_file.
ERRORS = (av.FFmpegError, AttributeError, ValueError, OSError, MemoryError, RuntimeError, TypeError, OverflowError)
# Raised instead of a packet of a stream that was not announced at the beginning of the file.
UNKNOWN_STREAM = IndexError


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
    """The main audio track by FFmpeg's rules."""
    if not container.streams.audio:
        raise no_audio_track()
    best = container.streams.best("audio")
    track = best if isinstance(best, AudioStream) else container.streams.audio[0]
    if track.codec_context is None:
        raise unsupported_codec()
    return track


def numbered_track(container: InputContainer, number: int | None) -> AudioStream:
    """The audio track of a number, counted from 0; None: the main one."""
    tracks = container.streams.audio
    if number is None or not tracks:
        return best_track(container)
    if number >= len(tracks):
        raise no_such_track(number, len(tracks))
    if tracks[number].codec_context is None:
        raise unsupported_codec()
    return tracks[number]


def read_only(container: InputContainer, *streams: Stream) -> None:
    """Skip all other streams."""
    wanted = {one.index for one in streams}
    for stream in container.streams:
        if stream.index not in wanted:
            stream.discard = Discard.all


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
