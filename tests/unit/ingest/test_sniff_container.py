"""The sniffer on small built-in examples, and on the corpus if it is present."""

import gzip
import random

import pytest

from shared.media.sniff_container import HEAD_BYTES, START_BYTES, sniff_container
from tests.support.ingest.corpus import corpus, must_be_taken, sniff_file
from tests.support.ingest.sounds import wav

MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG 1 layer III, 128 kbit/s at 44.1 kHz: 417 bytes
ADTS_FRAME = b"\xff\xf1\x50\x80\x04\x1f\xfc" + bytes(25)  # 32 bytes
AC3_FRAME = b"\x0b\x77\x00\x00\x00\x40" + bytes(122)  # 32 kbit/s at 48 kHz: 64 words
EAC3_FRAME = b"\x0b\x77\x00\x3f\x34\x80" + bytes(122)  # 64 words
OGG_PAGE = b"OggS\x00\x02" + bytes(20) + b"\x01\x13"
ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)

AUDIO = {
    "wav": wav(),
    "rf64": b"RF64\xff\xff\xff\xffWAVEds64",
    "w64": bytes.fromhex("726966662e91cf11a5d628db04c10000") + bytes(8) + b"wave" + bytes(12),
    "aiff": b"FORM\x00\x00\x10\x00AIFCCOMM",
    "caf": b"caff\x00\x01\x00\x00desc",
    "au": b".snd\x00\x00\x00\x20\x00\x00",
    "flac": b"fLaC\x00\x00\x00\x22",
    "ogg": OGG_PAGE + b"OpusHead\x01",
    "mp3": MP3_FRAME * 2,
    "aac": ADTS_FRAME * 2,
    "ac3": AC3_FRAME * 2,
    "m4a": b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00",
    "mp4": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00",
    "3gp": b"\x00\x00\x00\x1cftyp3gp4\x00\x00\x02\x00",
    "mov": b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat",
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm",
    "mkv": b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska",
    "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(8),
    "wavpack": b"wvpk\x08\x3b\x01\x00",
    "amr": b"#!AMR\n\x3c",
    "avi": b"RIFF\x00\x10\x00\x00AVI LIST",
    "flv": b"FLV\x01\x05\x00\x00\x00\x09",
    "mpegts": (b"G" + bytes(187)) * 4,
    "mpegps": b"\x00\x00\x01\xba\x44" + bytes(12),
}
VARIANTS = [
    (EAC3_FRAME * 2, "ac3"),
    (ID3 + MP3_FRAME * 2, "mp3"),
    (ID3 + ADTS_FRAME * 2, "aac"),
    (b"ID3\x03\x00\x00\x00\x7f\x7f\x7f" + bytes(8000), "mp3"),
    (bytes(100) + MP3_FRAME * 2, "mp3"),
    (b"\x00\x00\x00\x14ftypqt  \x20\x05\x03\x00", "mov"),
    (OGG_PAGE + b"\x01vorbis", "ogg"),
    (OGG_PAGE + b"OVP80\x01\x01" + bytes(19) + OGG_PAGE + b"\x01vorbis", "ogg"),
    ((bytes(4) + b"G" + bytes(187)) * 4, "mpegts"),
]
NOT_AUDIO = [
    b"",
    b"R",
    b"RIFF",
    b"RIFF\x24\x00\x00\x00WAVE",
    b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n",
    b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">',
    b"[playlist]\nFile1=http://127.0.0.1/\n",
    b"<!doctype html><html>",
    b"#!/bin/sh\ntouch x\n",
    b"PK\x03\x04" + bytes(60),
    gzip.compress(wav(), mtime=0),
    b"\x89PNG\r\n\x1a\n" + bytes(30),
    b"MZ" + bytes(62),
    b"\x7fELF" + bytes(60),
    b"%PDF-1.7\n",
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(60),
    b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00",
    bytes(HEAD_BYTES),
    b"hello, world",
    "\ufeffnot audio".encode("utf-16-le") * 50,
    MP3_FRAME + b"and then something else" * 9,
    b"ID3\x04\x00\x00\xff\xff\xff\xff" + bytes(50),
    OGG_PAGE + b"nothing",
]


def beginning(head: bytes) -> bytes:
    """The beginning of a longer file."""
    return head[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")


@pytest.mark.parametrize(("name", "head"), AUDIO.items())
def test_containers(name: str, head: bytes) -> None:
    assert sniff_container(beginning(head)) == name


@pytest.mark.parametrize(("head", "name"), VARIANTS)
def test_variants(head: bytes, name: str) -> None:
    assert sniff_container(beginning(head)) == name


@pytest.mark.parametrize("head", NOT_AUDIO, ids=lambda head: repr(head[:12]))
def test_not_audio(head: bytes) -> None:
    assert sniff_container(head[:HEAD_BYTES]) is None


def test_random_bytes_are_rarely_recognized_as_audio() -> None:
    noise = random.Random(7)
    taken = sum(sniff_container(noise.randbytes(START_BYTES)) is not None for _ in range(2000))
    assert taken <= 2


def test_any_prefix_of_audio_is_sniffed_without_an_error() -> None:
    for head in AUDIO.values():
        for length in range(len(head[:600])):
            sniff_container(head[:length])


@pytest.mark.corpus
def test_corpus() -> None:
    """Files that must be accepted are, and files that must be refused are."""
    files = corpus()
    if not files:
        pytest.skip("the folder shared/audio does not stand beside the repository")
    wrong = [item["file"] for item in files if must_be_taken(item) and sniff_file(item) is None]
    assert wrong == []
    not_audio = [item for item in files if item["category"] == "malformed" and item["expect"] == "reject"]
    assert [item["file"] for item in not_audio if sniff_file(item)] == []
