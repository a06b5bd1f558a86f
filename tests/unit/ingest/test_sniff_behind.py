"""Audio behind tags, padding and junk, and streams that begin inside a frame, on hand-made frames."""

import random
from itertools import cycle, islice

import pytest

from shared.media.sniff_container import (
    HEAD_BYTES,
    OTHER_FILES,
    START_BYTES,
    locate_container,
    needs_more,
    sniff_container,
)
from tests.support.ingest.sounds import wav
from tests.unit.ingest.test_sniff_container import AC3_FRAME, ADTS_FRAME, EAC3_FRAME, MP3_FRAME

LOAS_FRAME = b"\x56\xe0\x20" + bytes(32)
AMR_FRAME = b"\x3c" + b"\x01" * 31
AMR_WB_FRAME = b"\x44" + b"\x01" * 60
GSM_FRAME = b"\xd5" + b"\x01" * 32
PACK = b"\x00\x00\x01\xba\x44" + bytes(2043)
DTS_FRAME = b"\x7f\xfe\x80\x01" + bytes(1020)
TRUEHD_FRAME = b"\x10\x20\x30\x40\xf8\x72\x6f\xba" + bytes(500)
FLAC = b"fLaC\x00\x00\x00\x22" + bytes(34)
M4A = b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00"

STREAMS = {
    "mp3": (MP3_FRAME, "mp3"),
    "adts": (ADTS_FRAME, "aac"),
    "ac3": (AC3_FRAME, "ac3"),
    "eac3": (EAC3_FRAME, "ac3"),
    "loas": (LOAS_FRAME, "latm"),
    "ts": (b"G" + bytes(187), "mpegts"),
    "m2ts": (bytes(4) + b"G" + bytes(187), "mpegts"),
    "ts 204": (b"G" + bytes(203), "mpegts"),
    "amr": (AMR_FRAME, "amr"),
    "amr wb": (AMR_WB_FRAME, "amr"),
    "gsm": (GSM_FRAME, "gsm"),
    "ps": (PACK, "mpegps"),
    "dts": (DTS_FRAME, "dts"),
    "truehd": (TRUEHD_FRAME, "truehd"),
}
ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
ID3_WITH_FOOTER = b"ID3\x04\x00\x10\x00\x00\x00\x0a" + bytes(10) + b"3DI\x04\x00\x10\x00\x00\x00\x0a"
APE = b"APETAGEX\xd0\x07\x00\x00\x2a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xa0" + bytes(8) + b"x" * 42
ID3V1 = b"TAG" + b"x" * 125
NOISE = random.Random(11).randbytes(60_000)


@pytest.mark.parametrize("cut", [0, 1, 3, 17, 180])
@pytest.mark.parametrize(("frame", "name"), STREAMS.values(), ids=STREAMS)
def test_a_stream_that_begins_inside_a_frame(frame: bytes, name: str, cut: int) -> None:
    stream = (frame * (HEAD_BYTES // len(frame) + 2))[cut:]
    assert sniff_container(stream[:HEAD_BYTES]) == name


@pytest.mark.parametrize("frame", [MP3_FRAME, ADTS_FRAME, AC3_FRAME, LOAS_FRAME, b"G" + bytes(187)])
def test_the_first_frame_behind_junk_is_located(frame: bytes) -> None:
    located = locate_container((NOISE + frame * 600)[:HEAD_BYTES])
    assert located is not None
    assert located.offset == len(NOISE)


@pytest.mark.parametrize(("audio", "name"), [(wav(), "wav"), (FLAC, "flac"), (MP3_FRAME * 3, "mp3"), (M4A, "m4a")])
@pytest.mark.parametrize("tags", [ID3, ID3 + ID3, ID3_WITH_FOOTER, APE, ID3V1, APE + ID3, ID3 + bytes(50) + ID3V1])
def test_tags_are_skipped(tags: bytes, audio: bytes, name: str) -> None:
    located = locate_container((tags + audio).ljust(HEAD_BYTES, b"\0")[:HEAD_BYTES])
    assert located == (name, len(tags))


@pytest.mark.parametrize(
    ("audio", "name"), [(wav(), "wav"), (FLAC, "flac"), (MP3_FRAME * 2, "mp3"), (ID3 + FLAC, "flac")]
)
def test_padding_is_skipped(audio: bytes, name: str) -> None:
    assert sniff_container((bytes(64 << 10) + audio).ljust(HEAD_BYTES, b"\0")[:HEAD_BYTES]) == name


@pytest.mark.parametrize("frames", [1, 2])
def test_few_frames_behind_junk_prove_nothing(frames: int) -> None:
    assert sniff_container(NOISE + MP3_FRAME * frames + NOISE[:1000]) is None


def test_frames_of_different_streams_prove_nothing() -> None:
    other = b"\xff\xfb\x94\x00" + bytes(380)  # 48 kHz
    mixed = b"".join(islice(cycle([MP3_FRAME, other]), 20))
    assert sniff_container(b"junk\x01" + mixed) is None


@pytest.mark.parametrize("magic", [*OTHER_FILES, b"<html>" + b" " * 600, b'{"a": "' + b"b" * 600], ids=repr)
def test_sounds_in_other_files_are_not_searched(magic: bytes) -> None:
    assert sniff_container(magic + b"\x01\x02" + MP3_FRAME * 50) is None


def test_random_bytes_are_rarely_taken_for_frames() -> None:
    noise = random.Random(8)
    assert sum(sniff_container(noise.randbytes(HEAD_BYTES)) is not None for _ in range(300)) <= 1


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"", True),
        (wav()[: START_BYTES - 1], True),
        (wav()[:START_BYTES], False),
        (b"<html>" * 2000, False),
        (b"\x89PNG\r\n\x1a\n" + NOISE[:START_BYTES], False),
        (NOISE[:START_BYTES], True),
        (NOISE + NOISE, False),
        (ID3V1 + ID3 + FLAC + bytes(START_BYTES), False),
        (b"ID3\x03\x00\x00\x00\x01\x7f\x7f" + bytes(START_BYTES), True),
        (bytes(START_BYTES), True),
    ],
    ids=range(10),
)
def test_more_bytes_are_awaited_only_if_they_matter(head: bytes, more: bool) -> None:  # noqa: FBT001
    assert needs_more(head) is more
