"""Joined files, tags and junk around the audio, and headers that state wrong sizes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from processor_service.audio.decode import open_source
from processor_service.audio.find_pieces import MAX_PIECES, find_pieces
from processor_service.audio.measure_wav import measure_wav
from processor_service.audio.pieces import Piece
from processor_service.errors import AudioError
from shared.media.sniff_container import HEAD_BYTES, sniff_container
from tests.support.audio.make_files import (
    ID3V1,
    RATE_HZ,
    ape_tag,
    encoded,
    flac_of,
    id3,
    piped,
    wav_of,
    with_size,
    written,
)
from tests.support.audio.signals import CLIP, Signal, tone

LOW_HZ, HIGH_HZ = 400, 1000
JUNK = np.random.default_rng(3).bytes(5000)
LIST = b"LIST\x0a\x00\x00\x00INFOabcdef"
WAV = wav_of(1.0)
FLAC = flac_of(1.0)


class Decoded:
    def __init__(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with open_source(path) as source:
            self.signal: Signal = np.concatenate(list(source))
            self.errors, self.unread_bytes = source.decode_errors, source.unread_bytes
            self.rate_hz, self.stated_s = source.sample_rate_hz, source.duration_s

    @property
    def duration_s(self) -> float:
        return len(self.signal) / self.rate_hz

    def hz(self, start_s: float, end_s: float) -> float:
        part = self.signal[round(start_s * self.rate_hz) : round(end_s * self.rate_hz), 0]
        return float(np.abs(np.fft.rfft(part)).argmax()) / (end_s - start_s)


Decode = Callable[[bytes], Decoded]


@pytest.fixture
def decode(tmp_path: Path) -> Decode:
    return lambda content: Decoded(tmp_path / "file", content)


def two(container: str, codec: str, rate_hz: int) -> tuple[bytes, bytes]:
    """A low tone and a high one, a second each."""
    low, high = (encoded(container, codec, tone(1.0, rate_hz, hz), rate_hz) for hz in (LOW_HZ, HIGH_HZ))
    return low, high


JOINED = {
    "wav": (wav_of(1.0, LOW_HZ), wav_of(1.0, HIGH_HZ)),
    "wav of other rate and channels": (wav_of(1.0, LOW_HZ), wav_of(1.0, HIGH_HZ, 44_100, 2)),
    "wav and flac": (wav_of(1.0, LOW_HZ), flac_of(1.0, HIGH_HZ, 8_000)),
    "flac and wav": (flac_of(1.0, LOW_HZ), wav_of(1.0, HIGH_HZ)),
    "flac": (flac_of(1.0, LOW_HZ), flac_of(1.0, HIGH_HZ, 44_100, 2)),
    "piped flac": (piped(flac_of(1.0, LOW_HZ)), piped(flac_of(1.0, HIGH_HZ))),
    "aiff": tuple(written("AIFF", "PCM_16", tone(1.0, RATE_HZ, hz)) for hz in (LOW_HZ, HIGH_HZ)),
    "caf": tuple(written("CAF", "PCM_16", tone(1.0, RATE_HZ, hz)) for hz in (LOW_HZ, HIGH_HZ)),
    "au": tuple(written("AU", "PCM_16", tone(1.0, RATE_HZ, hz)) for hz in (LOW_HZ, HIGH_HZ)),
    "w64": tuple(written("W64", "PCM_16", tone(1.0, RATE_HZ, hz)) for hz in (LOW_HZ, HIGH_HZ)),
    "rf64": tuple(written("RF64", "PCM_16", tone(1.0, RATE_HZ, hz)) for hz in (LOW_HZ, HIGH_HZ)),
    "m4a": two("ipod", "alac", 16_000),
    "m4a and wav": (two("ipod", "alac", 16_000)[0], wav_of(1.0, HIGH_HZ)),
    "mp4": two("mp4", "aac", 48_000),
    "mkv": two("matroska", "pcm_s16le", 16_000),
    "webm": two("webm", "libopus", 48_000),
    "avi": two("avi", "pcm_s16le", 16_000),
    "flv": two("flv", "aac", 44_100),
    "wma": two("asf", "wmav2", 44_100),
    "tta": two("tta", "tta", 16_000),
    "wavpack": two("wv", "wavpack", 16_000),
    "amr": two("amr", "libopencore_amrnb", 8_000),
    "mp3": two("mp3", "libmp3lame", 44_100),
    "aac": two("adts", "aac", 44_100),
    "ts": two("mpegts", "aac", 44_100),
    "wav with a tag between": (wav_of(1.0, LOW_HZ) + ID3V1, id3() + wav_of(1.0, HIGH_HZ)),
    "wav that states nothing": (with_size(wav_of(1.0, LOW_HZ), 0), wav_of(1.0, HIGH_HZ)),
    "wav that states the most": (with_size(wav_of(1.0, LOW_HZ), 0xFFFFFFFF), wav_of(1.0, HIGH_HZ)),
    "wav that states too little": (with_size(wav_of(1.0, LOW_HZ), 1000), wav_of(1.0, HIGH_HZ)),
    "wav that states too much": (with_size(wav_of(1.0, LOW_HZ), 40_000), wav_of(1.0, HIGH_HZ)),
}


@pytest.mark.parametrize("parts", JOINED.values(), ids=JOINED)
def test_joined_files_are_read_one_after_another(decode: Decode, parts: tuple[bytes, bytes]) -> None:
    file = decode(b"".join(parts))
    assert (file.errors, file.unread_bytes) == (0, 0)
    assert file.duration_s == pytest.approx(2.0, abs=0.2)
    assert file.stated_s == pytest.approx(2.0, abs=0.3)
    assert file.hz(0.2, 0.8) == pytest.approx(LOW_HZ, abs=5)
    assert file.hz(1.2, 1.8) == pytest.approx(HIGH_HZ, abs=5)


def test_the_samples_of_joined_wavs_are_exact(decode: Decode) -> None:
    one, other = decode(wav_of(1.0, LOW_HZ)).signal, decode(wav_of(1.0, HIGH_HZ)).signal
    assert np.array_equal(decode(wav_of(1.0, LOW_HZ) + wav_of(1.0, HIGH_HZ)).signal, np.concatenate([one, other]))


@pytest.mark.parametrize("audio", [WAV, FLAC], ids=["wav", "flac"])
@pytest.mark.parametrize(
    "before",
    [id3(), id3() * 2, id3(footer=True), id3(200_000), ape_tag(), ID3V1, ape_tag() + id3(), bytes(64 << 10), JUNK,
     np.random.default_rng(6).bytes(60 << 10), id3() + bytes(2000), bytes(500) + id3()],
    ids=["id3", "two id3", "footer", "long id3", "ape", "id3v1", "ape and id3", "64 kB of zeros", "junk",
         "60 kB of junk", "padding after a tag", "a tag after padding"],
)  # fmt: skip
def test_audio_behind_tags_and_junk(decode: Decode, before: bytes, audio: bytes) -> None:
    assert sniff_container((before + audio)[:HEAD_BYTES])
    file = decode(before + audio)
    assert (len(file.signal), file.errors, file.unread_bytes) == (RATE_HZ, 0, 0)


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz"),
    [("mp3", "libmp3lame", 44_100), ("adts", "aac", 44_100), ("ac3", "ac3", 48_000), ("mpegts", "aac", 44_100),
     ("latm", "aac", 44_100), ("amr", "libopencore_amrnb", 8_000), ("mp2", "mp2", 48_000)],
)  # fmt: skip
@pytest.mark.parametrize("cut", [1, 77, 190, 1001])
def test_a_capture_that_begins_inside_a_frame(
    decode: Decode, container: str, codec: str, rate_hz: int, cut: int
) -> None:
    content = encoded(container, codec, tone(3.0, rate_hz), rate_hz)[cut:]
    assert sniff_container(content[:HEAD_BYTES])
    file = decode(content)
    assert file.duration_s == pytest.approx(3.0, abs=0.7)
    assert file.hz(0.5, 2.0) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    "tail",
    [b"\0", bytes(3000), LIST, b"id3 \xf2\x03\x00\x00" + id3(), ID3V1, ape_tag(), LIST + ID3V1],
    ids=["pad", "zeros", "list", "id3 chunk", "id3v1", "ape", "list and id3v1"],
)
def test_harmless_tails_give_no_warning(decode: Decode, tail: bytes) -> None:
    file = decode(WAV + tail)
    assert (len(file.signal), file.errors, file.unread_bytes) == (RATE_HZ, 0, 0)


@pytest.mark.parametrize(
    ("content", "unread_bytes"),
    [(WAV + JUNK, 5000), (WAV + b"some text follows here. " * 100, 2400), (WAV + b"PK\x03\x04" + JUNK, 5004),
     (two("ipod", "alac", 16_000)[0] + JUNK, 5000), (WAV + LIST + JUNK, 5000)],
    ids=["junk", "text", "zip", "m4a", "list and junk"],
)  # fmt: skip
def test_bytes_that_are_not_read_are_counted(decode: Decode, content: bytes, unread_bytes: int) -> None:
    file = decode(content)
    assert file.unread_bytes == unread_bytes
    assert file.duration_s == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("data_bytes", [0, 1200, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_is_read_to_its_end_whatever_its_header_states(decode: Decode, subtype: str, data_bytes: int) -> None:
    content = written("WAV", subtype, tone(1.0, RATE_HZ))
    at = content.index(b"data") + 4
    file = decode(content[:at] + data_bytes.to_bytes(4, "little") + content[at + 4 :])
    whole = decode(content)
    assert np.array_equal(file.signal, whole.signal)
    assert file.unread_bytes == 0


def test_real_speech_behind_a_stated_end_is_recognized(decode: Decode) -> None:
    decoded = decode(CLIP.read_bytes())
    wav = written("WAV", "PCM_16", decoded.signal[:, 0], decoded.rate_hz)
    for data_bytes in range(2000, len(wav) - 1000, len(wav) // 23 & ~1):
        assert len(decode(with_size(wav, data_bytes)).signal) == len(decoded.signal)


def test_a_header_for_more_than_four_gibibytes_has_long_sizes(tmp_path: Path) -> None:
    path = tmp_path / "sparse.wav"
    with path.open("wb") as file:
        file.write(with_size(WAV, 0xFFFFFFFF))
        file.truncate(5 << 30)
    with path.open("rb") as file:
        extent = measure_wav(file, 0, 5 << 30, lambda _: 5 << 30, lambda _: False)
    assert extent.header.startswith(b"RF64")
    (tmp_path / "short.wav").write_bytes(extent.header + WAV[44:])
    with open_source(tmp_path / "short.wav") as source:
        assert sum(map(len, source)) == RATE_HZ


def test_a_flac_from_a_pipe_is_not_damaged(decode: Decode) -> None:
    file = decode(piped(FLAC))
    assert (len(file.signal), file.stated_s, file.errors) == (RATE_HZ, 1.0, 0)
    assert np.array_equal(file.signal, decode(FLAC).signal)


@pytest.mark.parametrize("flac", [FLAC, piped(FLAC)], ids=["stated length", "piped"])
def test_a_truncated_flac_is_damaged(decode: Decode, flac: bytes) -> None:
    assert decode(flac[: len(flac) * 2 // 3]).errors > 0


def test_bytes_between_joined_files_are_counted(decode: Decode) -> None:
    file = decode(WAV + JUNK + WAV)
    assert (len(file.signal), file.unread_bytes) == (2 * RATE_HZ, len(JUNK))


def test_many_starts_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "many.flac"
    path.write_bytes(FLAC[:50] * 10_000)
    found = find_pieces(path)
    assert len(found.pieces) == MAX_PIECES
    assert found.unread_bytes > 0
    with pytest.raises(AudioError):
        Decoded(path, path.read_bytes())


def test_a_stream_that_repeats_its_header_is_read_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "many.mp4"
    path.write_bytes(two("mp4", "aac", 48_000)[0] * (MAX_PIECES + 2))
    found = find_pieces(path)
    assert len(found.pieces) == MAX_PIECES
    assert (found.pieces[-1].end, found.unread_bytes) == (path.stat().st_size, 0)


def test_a_piece_reads_like_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with Piece(path=path, start=3, end=8, header=b"ab").open() as file:
        assert file.read() == b"ab34567"
        assert (file.seek(-2, 2), file.read(9)) == (5, b"67")
        assert (file.seek(1), file.read(3), file.tell()) == (1, b"b34", 4)
        with pytest.raises(OSError, match="negative"):
            file.seek(-1)
