"""Every file gives audio or an AudioError."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from av.audio.stream import AudioStream

from processor_service.audio.decode import open_source
from processor_service.errors import AudioError
from shared.schemas.failures import FailureCode
from shared.schemas.job_parts import Part
from tests.support.audio.signals import CORPUS, Signal, corpus, tone

RATE_HZ = 48_000


def decoded(path: Path, max_audio_s: float | None = None) -> tuple[Signal, int]:
    with open_source(path, max_audio_s=max_audio_s) as source:
        return np.concatenate(list(source)), source.sample_rate_hz


def failure(path: Path, max_audio_s: float | None = None) -> FailureCode:
    with pytest.raises(AudioError) as caught:
        decoded(path, max_audio_s)
    assert str(path) not in caught.value.message
    return caught.value.code


def encode(
    path: Path, signal: Signal, codec: str, rate_hz: int = RATE_HZ, options: dict[str, str] | None = None
) -> Path:
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.codec_context.bit_rate = 96_000
        frame = av.AudioFrame.from_ndarray(signal[np.newaxis], "fltp", "mono")
        frame.sample_rate = rate_hz
        frame_size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.format, "mono", rate_hz, frame_size=frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.m4a", "aac"),
        ("a.webm", "libopus"),
        ("b.m4a", "alac"),
        ("a.mp3", "libmp3lame"),
        ("a.mov", "pcm_s24le"),
        ("a.ts", "aac"),
        ("a.wma", "wmav2"),
        ("a.aac", "aac"),
        ("a.ac3", "ac3"),
    ],
)
def test_files_encoded_by_pyav_are_decoded(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, tone(3.0, RATE_HZ), codec)
    signal, rate_hz = decoded(path)
    assert rate_hz == RATE_HZ
    assert len(signal) / rate_hz == pytest.approx(3.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(signal[:RATE_HZ, 0]))
    assert spectrum.argmax() == 440
    with open_source(path) as source:
        assert source.duration_s == pytest.approx(3.0, abs=0.15)


def test_the_duration_of_live_webm_is_counted_from_packets(tmp_path: Path) -> None:
    path = encode(tmp_path / "live.webm", tone(3.0, RATE_HZ), "libopus", options={"live": "1"})
    with open_source(path) as source:
        assert source.duration_s == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("subtype", "name", "depth"),
    [("PCM_16", "a.wav", 16), ("PCM_24", "a.wav", 24), ("FLOAT", "a.wav", 24), ("PCM_16", "a.aiff", 16),
     ("PCM_24", "a.flac", 24), ("VORBIS", "a.ogg", 16), ("IMA_ADPCM", "a.wav", 16), ("GSM610", "a.wav", 16)],
)  # fmt: skip
def test_files_written_by_libsndfile_are_decoded(tmp_path: Path, subtype: str, name: str, depth: int) -> None:
    soundfile.write(tmp_path / name, tone(1.0, 8_000), 8_000, subtype=subtype)
    with open_source(tmp_path / name) as source:
        assert source.bit_depth_hint == depth
        assert sum(map(len, source)) == pytest.approx(8_000, abs=600)
        assert source.decode_errors == 0


def test_samples_are_finite_and_within_full_scale(tmp_path: Path) -> None:
    samples = np.array([0.5, np.nan, np.inf, -np.inf, 3e38, -7.0], np.float32)
    soundfile.write(tmp_path / "wild.wav", samples, 8_000, subtype="FLOAT")
    assert decoded(tmp_path / "wild.wav")[0][:, 0].tolist() == [0.5, 0.0, 0.0, 0.0, 1.0, -1.0]


def test_the_maximum_duration_applies_to_decoded_frames(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "bomb.flac", np.zeros(60 * 8_000), 8_000)
    assert failure(tmp_path / "bomb.flac", max_audio_s=30) is FailureCode.AUDIO_TOO_LONG


def test_the_beginning_alone_is_decoded(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 60 * 8_000).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", samples, 8_000, subtype="FLOAT")
    with open_source(tmp_path / "long.wav", max_audio_s=30, part=Part().first(5)) as source:
        beginning = np.concatenate(list(source))[:, 0]
    assert 5 <= len(beginning) / 8_000 < 30
    assert np.array_equal(beginning, samples[: len(beginning)])


@pytest.mark.parametrize("rate_hz", [1_000, 500_000])
def test_sample_rates_out_of_range_are_unsupported(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), rate_hz)
    assert failure(tmp_path / "a.wav") is FailureCode.UNSUPPORTED_AUDIO


def test_nine_channels_are_unsupported(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 9)), 8_000)
    assert failure(tmp_path / "a.wav") is FailureCode.UNSUPPORTED_AUDIO


def test_a_file_without_frames_is_empty_audio(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8_000)
    assert failure(tmp_path / "a.wav") is FailureCode.EMPTY_AUDIO


def test_a_video_without_audio_has_no_audio_track(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    assert failure(tmp_path / "a.mp4") is FailureCode.NO_AUDIO_TRACK


def test_an_unknown_codec_is_unsupported(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", tone(1.0, RATE_HZ), "aac")
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_QQQ"))
    assert failure(path) is FailureCode.UNSUPPORTED_CODEC


@pytest.mark.parametrize("content", [b"", b"x", b"RIFF", b"\x89PNG\r\n\x1a\n" * 100, b"#!/bin/sh\necho hi\n" * 50])
def test_other_files_are_undecodable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    assert failure(tmp_path / "a.wav") is FailureCode.UNDECODABLE_AUDIO


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "secret.wav", tone(1.0, 8_000), 8_000)
    playlists = ["#EXTM3U\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile secret.wav\n"]
    for text in playlists:
        (tmp_path / "list.mp4").write_text(text)
        assert failure(tmp_path / "list.mp4") is FailureCode.UNDECODABLE_AUDIO


@pytest.mark.parametrize("name", ["a.flac", "a.mp3"])
def test_damage_is_skipped_and_counted(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rng = np.random.default_rng(1)
    soundfile.write(path, (tone(20.0, 16_000) + 0.01 * rng.standard_normal(320_000)).astype(np.float32), 16_000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2_000] = rng.bytes(2_000)
    path.write_bytes(content)
    with open_source(path) as source:
        assert sum(map(len, source)) / 16_000 == pytest.approx(20.0, abs=1.5)
        assert source.decode_errors > 0


def test_chained_ogg_is_read_to_the_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.ogg", tone(2.0, 16_000), 16_000)
    link = (tmp_path / "one.ogg").read_bytes()
    (tmp_path / "two.ogg").write_bytes(link + link)
    assert len(decoded(tmp_path / "two.ogg")[0]) / 16_000 == pytest.approx(4.0, abs=0.1)


def test_a_wav_with_an_unfinished_header_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0, 16_000), 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = bytes(4)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(decoded(tmp_path / "a.wav")[0]) == 16_000


@pytest.mark.parametrize("cut", range(0, 4_000, 137))
@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mkv", "libopus"), ("a.wav", "adpcm_ms")])
def test_truncated_and_corrupt_files_raise_no_other_error(tmp_path: Path, name: str, codec: str, cut: int) -> None:
    path = encode(tmp_path / name, tone(0.5, 16_000), codec, 16_000)
    content = bytearray(path.read_bytes())
    content[cut : cut + 8] = b"\xff" * 8
    for hostile in (content, content[:cut]):
        path.write_bytes(hostile)
        try:
            signal, _ = decoded(path, max_audio_s=60)
        except AudioError:
            continue
        assert np.isfinite(signal).all()


@pytest.mark.parametrize(
    "entry", corpus("clean_speech", "format_variant", "noisy_speech", "long_joined", "multi_speaker")
)
def test_corpus_files_have_their_duration(entry: dict[str, Any]) -> None:
    with open_source(CORPUS / entry["file"]) as source:
        duration_s = sum(map(len, source)) / source.sample_rate_hz
    # The manifest has the duration of some sound tracks: their video is longer.
    tolerance_s = 1.1 if "_video." in entry["file"] else 0.15
    assert duration_s == pytest.approx(entry["duration_s"], abs=tolerance_s)


@pytest.mark.parametrize("entry", corpus("malformed"))
def test_malformed_corpus_files(entry: dict[str, Any]) -> None:
    try:
        decoded(CORPUS / entry["file"], max_audio_s=3600)
    except AudioError as error:
        assert entry["expect"] != "accept", error.message  # noqa: PT017 - some files may do either
        return
    assert entry["expect"] != "reject"
