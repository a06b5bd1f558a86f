"""Opens a container with PyAV in such a way that a hostile file reaches nothing but itself.

FFmpeg may open no file and no address of its own, is offered no playlist format, and probes with audio decoders only.
"""

from functools import cache
from typing import BinaryIO, NoReturn

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard

from processor_service.audio_errors import no_audio_track, undecodable, unsupported_codec

# Containers of plain media. Left out on purpose: whatever names other files (hls, dash, concat, sdp …).
FORMATS = (
    "3g2 3gp aac ac3 aiff amr amrnb amrwb ape asf asf_o au avi caf dsf dts eac3 flac flv gsm m4a matroska mj2 mov mp3 "
    "mp4 mpc mpc8 mpeg mpegts mxf ogg rm spx tak tta voc w64 wav webm wtv wv"
).split()
IO_BUFFER_BYTES = 1 << 17
CODEC_ERRORS = (av.error.PatchWelcomeError, av.error.DecoderNotFoundError, av.error.NotImplementedError)
# Beside its own errors PyAV raises plain ones on some headers: AttributeError on a stream without a codec, UnicodeError
# on names, ValueError on channel layouts, MemoryError on sizes that lie, PermissionError from _refuse_file.
ERRORS = (av.FFmpegError, AttributeError, ValueError, OSError, MemoryError, RuntimeError, TypeError, OverflowError)


def open_container(raw: BinaryIO) -> InputContainer:
    """The container that `raw` holds, a file opened for reading; raises AudioError."""
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
    """The track that FFmpeg holds for the main one; all others are skipped while reading."""
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
    raise PermissionError(f"the file refers to another one: {url[:100]!r}")


@cache
def _audio_decoders() -> str:
    """The names of all audio decoders: probing a video must not run its pictures through a video decoder."""
    names = set()
    for name in av.codecs_available:
        try:
            codec = av.Codec(name, "r")
        except ValueError:  # there is only an encoder of that name
            continue
        if codec.type == "audio":
            names.add(codec.name)
    return ",".join(sorted(names))
