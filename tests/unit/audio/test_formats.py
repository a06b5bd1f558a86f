"""Every format that the documentation lists as tested passes the gate and is decoded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from processor_service.audio.decode import open_source
from shared.media.sniff_container import HEAD_BYTES, sniff_container
from tests.support.audio.make_files import amr_wb, dsdiff, dsf, dts, encoded, gsm, mpeg_layer_1, written
from tests.support.audio.signals import Signal, tone

DURATION_S = 2.0
TONE_HZ = 440

# The name that the gate gives it, FFmpeg's container, its codec, the sample rate.
ENCODED = [
    ("wav", "wav", "pcm_s16le", 16_000), ("wav", "wav", "pcm_f32le", 16_000), ("wav", "wav", "pcm_mulaw", 8_000),
    ("wav", "wav", "pcm_alaw", 8_000), ("wav", "wav", "adpcm_ms", 16_000), ("wav", "wav", "adpcm_ima_wav", 16_000),
    ("wav", "wav", "g722", 16_000), ("wav", "wav", "libmp3lame", 16_000),
    ("w64", "w64", "pcm_s16le", 16_000), ("aiff", "aiff", "pcm_s16be", 16_000), ("aiff", "aiff", "pcm_mulaw", 8_000),
    ("caf", "caf", "pcm_s16be", 16_000), ("caf", "caf", "alac", 16_000), ("au", "au", "pcm_s16be", 16_000),
    ("au", "au", "pcm_mulaw", 8_000), ("voc", "voc", "pcm_u8", 8_000), ("voc", "voc", "pcm_s16le", 16_000),
    ("ircam", "ircam", "pcm_s16le", 16_000), ("flac", "flac", "flac", 16_000), ("wavpack", "wv", "wavpack", 16_000),
    ("tta", "tta", "tta", 16_000), ("ogg", "ogg", "libopus", 48_000), ("ogg", "ogg", "flac", 16_000),
    ("mp3", "mp3", "libmp3lame", 44_100), ("mp3", "mp2", "mp2", 48_000), ("aac", "adts", "aac", 44_100),
    ("latm", "latm", "aac", 44_100), ("ac3", "ac3", "ac3", 48_000), ("ac3", "eac3", "eac3", 48_000),
    ("amr", "amr", "libopencore_amrnb", 8_000), ("rm", "rm", "real_144", 8_000), ("rm", "rm", "ac3", 48_000),
    ("asf", "asf", "wmav1", 44_100), ("asf", "asf", "wmav2", 44_100), ("m4a", "ipod", "aac", 44_100),
    ("m4a", "ipod", "alac", 16_000), ("mp4", "mp4", "aac", 44_100), ("mp4", "mp4", "ac3", 48_000),
    ("mp4", "mp4", "libmp3lame", 44_100), ("mov", "mov", "pcm_s24le", 16_000), ("mov", "mov", "adpcm_ima_qt", 16_000),
    ("3gp", "3gp", "libopencore_amrnb", 8_000), ("3gp", "3gp", "aac", 16_000), ("webm", "webm", "libopus", 48_000),
    ("mkv", "matroska", "aac", 44_100), ("mkv", "matroska", "flac", 16_000), ("mkv", "matroska", "pcm_s16le", 16_000),
    ("avi", "avi", "libmp3lame", 44_100), ("avi", "avi", "pcm_s16le", 16_000), ("flv", "flv", "aac", 44_100),
    ("flv", "flv", "nellymoser", 8_000), ("mxf", "mxf_opatom", "pcm_s16le", 48_000), ("wtv", "wtv", "mp2", 48_000),
    ("nut", "nut", "pcm_s16le", 16_000), ("mpegts", "mpegts", "aac", 44_100), ("mpegts", "mpegts", "mp2", 48_000),
    ("mpegts", "mpegts", "ac3", 48_000), ("mpegps", "mpeg", "mp2", 48_000), ("mpegps", "vob", "ac3", 48_000),
]  # fmt: skip


def passes_and_is_decoded(path: Path, container: str, content: bytes, duration_s: float = DURATION_S) -> float:
    """Return the strongest frequency."""
    assert sniff_container(content[:HEAD_BYTES]) == container
    path.write_bytes(content)
    with open_source(path) as source:
        signal = np.concatenate(list(source))[:, 0]
        assert (source.decode_errors, source.unread_bytes) == (0, 0)
    assert len(signal) / source.sample_rate_hz == pytest.approx(duration_s, abs=0.15)
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    return float(spectrum.argmax() * source.sample_rate_hz / len(signal))


@pytest.mark.parametrize(("name", "container", "codec", "rate_hz"), ENCODED)
def test_encoded_by_ffmpeg(tmp_path: Path, name: str, container: str, codec: str, rate_hz: int) -> None:
    content = encoded(container, codec, tone(DURATION_S, rate_hz, TONE_HZ), rate_hz)
    assert passes_and_is_decoded(tmp_path / "file", name, content) == pytest.approx(TONE_HZ, abs=5)


@pytest.mark.parametrize(
    ("name", "format_name", "subtype"),
    [("rf64", "RF64", "PCM_16"), ("sph", "NIST", "PCM_16"), ("8svx", "SVX", "PCM_16"), ("wav", "WAV", "GSM610"),
     ("ogg", "OGG", "VORBIS"),
     ("wav", "WAVEX", "PCM_24"), ("aiff", "AIFF", "FLOAT"), ("caf", "CAF", "ALAC_16")],
)  # fmt: skip
def test_written_by_libsndfile(tmp_path: Path, name: str, format_name: str, subtype: str) -> None:
    content = written(format_name, subtype, tone(DURATION_S, 16_000, TONE_HZ))
    assert passes_and_is_decoded(tmp_path / "file", name, content) == pytest.approx(TONE_HZ, abs=5)


@pytest.mark.parametrize(
    ("name", "content"),
    [("gsm", gsm(100)), ("amr", amr_wb(100)), ("mp3", mpeg_layer_1(250)), ("dts", dts(188))],
    ids=["GSM", "AMR-WB", "MP1", "DTS"],
)
def test_made_by_hand(tmp_path: Path, name: str, content: bytes) -> None:
    passes_and_is_decoded(tmp_path / "file", name, content)


@pytest.mark.parametrize(("name", "make"), [("dsf", dsf), ("dff", dsdiff)])
def test_dsd(tmp_path: Path, name: str, make: Callable[[Signal, int], bytes]) -> None:
    content = make(tone(0.5, 44_100, TONE_HZ), 44_100)
    assert passes_and_is_decoded(tmp_path / "file", name, content, 0.5) == pytest.approx(TONE_HZ, abs=5)
