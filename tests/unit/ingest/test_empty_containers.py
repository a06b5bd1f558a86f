"""Containers that certainly hold no audio are refused by their header; others are accepted."""

import io

import av
import numpy as np
import pytest

from shared.media.sniff_container import HEAD_BYTES, sniff_container
from tests.support.ingest.sounds import wav, wav_header

CHANNELS_AT, BITS_AT = 22, 34


def with_number(at: int, number: int) -> bytes:
    """A WAV header with this 16-bit field changed."""
    return wav()[:at] + number.to_bytes(2, "little") + wav()[at + 2 :]


def big_endian() -> bytes:
    header = b"RIFX" + (36 + 4000).to_bytes(4) + b"WAVEfmt " + (16).to_bytes(4)
    numbers = ((1, 2), (1, 2), (16000, 4), (32000, 4), (2, 2), (16, 2))
    return header + b"".join(number.to_bytes(size) for number, size in numbers) + b"data\x00\x00\x0f\xa0" + bytes(4000)


def film(container: str, *, sound: bool) -> bytes:
    """One grey picture, and with `sound` a tenth of a second of silence."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        pictures = output.add_stream("mpeg4" if container == "mp4" else "vp8", rate=10)
        pictures.width = pictures.height = 64
        tones = output.add_stream("aac" if container == "mp4" else "libopus", rate=48000) if sound else None
        output.mux(pictures.encode(av.VideoFrame(64, 64, "yuv420p")))
        output.mux(pictures.encode(None))
        if tones:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 48000
            output.mux(tones.encode(frame))
            output.mux(tones.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(wav_header(32000), id="a header alone, that promises samples"),
        pytest.param(wav()[:36], id="no data chunk"),
        pytest.param(wav()[:40], id="half a chunk's head"),
        pytest.param(with_number(CHANNELS_AT, 0), id="no channels"),
        pytest.param(with_number(BITS_AT, 0), id="no bits a sample"),
        pytest.param(film("mp4", sound=False), id="a film without sound"),
        pytest.param(film("webm", sound=True)[:120], id="a stream cut off before its first frame"),
    ],
)
def test_a_container_without_audio_is_not_recognized(file: bytes) -> None:
    assert sniff_container(file[:HEAD_BYTES]) is None


@pytest.mark.parametrize(
    ("file", "container"),
    [
        pytest.param(wav(250)[:46], "wav", id="one sample"),
        pytest.param(wav_header(0) + bytes(100), "wav", id="a recorder that never came to write the size"),
        pytest.param(wav()[:36] + b"LIST\x04\x00\x00\x00INFO" + wav()[36:], "wav", id="a chunk before the data"),
        pytest.param(
            wav()[:36] + b"junk\x00\x40\x00\x00" + bytes(16384) + wav()[36:], "wav", id="data behind the head"
        ),
        pytest.param(with_number(20, 85), "wav", id="MP3 in a WAV"),
        pytest.param(b"RIFF\x64\x00\x00\x00WAVE" + bytes(92), "wav", id="chunks that are none: damaged"),
        pytest.param(film("mp4", sound=False)[:32] + bytes(92), "mp4", id="no film at all: damaged"),
        pytest.param(big_endian(), "wav", id="big-endian"),
        pytest.param(film("mp4", sound=True), "mp4", id="a film with sound"),
        pytest.param(film("webm", sound=True), "webm", id="a stream with sound"),
        pytest.param(film("mp4", sound=False) + bytes(HEAD_BYTES), "mp4", id="a film of which not all is at hand"),
    ],
)
def test_a_container_that_may_hold_audio_is_accepted(file: bytes, container: str) -> None:
    assert sniff_container(file[:HEAD_BYTES]) == container
