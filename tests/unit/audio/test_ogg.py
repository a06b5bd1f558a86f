"""Ogg: chains of any links, pages that are missing, and granule positions that jump."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from processor_service.audio.decode import open_source
from processor_service.audio.decode_ogg import find_links
from tests.support.audio.films import write_film
from tests.support.audio.signals import Signal, tone
from tests.unit.audio.test_films import gap
from tests.unit.audio.test_films import heard as heard_at_48_khz

CRC_POLYNOMIAL = 0x04C11DB7
GRANULE = slice(6, 14)


def pages(content: bytes) -> list[bytes]:
    result = []
    while content:
        count = content[26]
        length = 27 + count + sum(content[27 : 27 + count])
        result.append(content[:length])
        content = content[length:]
    return result


def with_granule(page: bytes, granule: int) -> bytes:
    changed = bytearray(page)
    changed[GRANULE], changed[22:26] = struct.pack("<q", granule), bytes(4)
    changed[22:26] = struct.pack("<I", checksum(changed))
    return bytes(changed)


def checksum(page: bytes | bytearray) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (CRC_POLYNOMIAL if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def jumping(content: bytes, rate_hz: int, shift_s: Callable[[float], float]) -> bytes:
    """The stream with other granule positions; 0 is that of headers."""
    result = []
    for page in pages(content):
        (granule,) = struct.unpack("<q", page[GRANULE])
        at_s = granule / rate_hz
        result.append(with_granule(page, granule + round(shift_s(at_s) * rate_hz)) if granule > 0 else page)
    return b"".join(result)


def ogg(folder: Path, subtype: str, signal: Signal, rate_hz: int) -> bytes:
    """A whole Ogg file. `signal` is (samples,) or (samples, channels)."""
    path = folder / "link.ogg"
    if subtype == "FLAC":
        write_film(path, signal, rate_hz, codec="flac")
    else:
        soundfile.write(path, signal, rate_hz, format="OGG", subtype=subtype)
    return path.read_bytes()


def length_s(path: Path) -> float:
    with open_source(path) as source:
        return sum(map(len, source)) / source.sample_rate_hz


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS", "FLAC"])
def test_a_plain_file_has_its_exact_length(tmp_path: Path, subtype: str) -> None:
    (tmp_path / "a.ogg").write_bytes(ogg(tmp_path, subtype, tone(3.1, 48_000), 48_000))
    assert length_s(tmp_path / "a.ogg") == pytest.approx(3.1, abs=0.01)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_jump_of_granule_positions_is_silence(tmp_path: Path, subtype: str) -> None:
    whole = ogg(tmp_path, subtype, tone(8.0, 48_000), 48_000)
    (tmp_path / "a.ogg").write_bytes(jumping(whole, 48_000, lambda at_s: 6.0 if at_s > 4 else 0.0))
    spans, total_s, report = heard_at_48_khz(tmp_path / "a.ogg")
    assert total_s == pytest.approx(14.0, abs=0.1)
    assert sum(end - start for start, end in spans) == pytest.approx(8.0, abs=0.2)
    assert [end - start for start, end in report.missing] == [pytest.approx(6.0, abs=0.1)]


def test_flac_packets_that_were_not_sent_are_silence(tmp_path: Path) -> None:
    write_film(tmp_path / "a.ogg", tone(6.0, 48_000), stamp=gap, codec="flac")
    spans = heard_at_48_khz(tmp_path / "a.ogg")[0]
    assert spans == [pytest.approx(span, abs=0.25) for span in ((0, 3), (8, 11))]  # pages have times, packets do not


def test_missing_pages_are_silence(tmp_path: Path) -> None:
    whole = pages(ogg(tmp_path, "OPUS", tone(8.0, 48_000), 48_000))
    (tmp_path / "a.ogg").write_bytes(b"".join([*whole[:4], *whole[6:]]))
    spans, total_s, _ = heard_at_48_khz(tmp_path / "a.ogg")
    assert total_s == pytest.approx(8.0, abs=0.05)
    assert sum(end - start for start, end in spans) == pytest.approx(6.0, abs=0.2)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_stream_from_the_middle_of_a_broadcast_begins_at_0(tmp_path: Path, subtype: str) -> None:
    whole = ogg(tmp_path, subtype, tone(4.0, 48_000), 48_000)
    (tmp_path / "a.ogg").write_bytes(jumping(whole, 48_000, lambda _: 5000.0))
    assert length_s(tmp_path / "a.ogg") == pytest.approx(4.0, abs=0.05)


FIRST, OTHER_RATE, STEREO = tone(2.0, 16_000), tone(3.0, 48_000), np.column_stack([tone(1.5, 16_000)] * 2)


@pytest.mark.parametrize(
    "subtypes", [("VORBIS",) * 4, ("OPUS",) * 4, ("FLAC",) * 4, ("OPUS", "VORBIS", "FLAC", "OPUS")]
)
def test_links_of_any_rate_and_codec_are_read(tmp_path: Path, subtypes: tuple[str, ...]) -> None:
    links = [(FIRST, 16_000), (OTHER_RATE, 48_000), (tone(1.0, 8_000), 8_000), (FIRST, 16_000)]
    chain = b"".join(ogg(tmp_path, one, *link) for one, link in zip(subtypes, links, strict=True))
    (tmp_path / "a.ogg").write_bytes(chain)
    assert length_s(tmp_path / "a.ogg") == pytest.approx(8.0, abs=0.05)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_links_of_other_channel_counts_are_read(tmp_path: Path, subtype: str) -> None:
    mono, stereo = ogg(tmp_path, subtype, FIRST, 16_000), ogg(tmp_path, subtype, STEREO, 16_000)
    for name, chain, channels in (("a.ogg", mono + stereo, 1), ("b.ogg", stereo + mono, 2)):
        (tmp_path / name).write_bytes(chain)
        with open_source(tmp_path / name) as source:
            signal = np.concatenate(list(source))
        assert signal.shape[1] == channels
        assert len(signal) / source.sample_rate_hz == pytest.approx(3.5, abs=0.05)
        third = len(signal) // 3
        assert np.std(signal[:third]) == pytest.approx(np.std(signal[-third:]), rel=0.1)


def test_gaps_in_a_chain_count_from_its_start(tmp_path: Path) -> None:
    one = ogg(tmp_path, "OPUS", tone(8.0, 48_000), 48_000)
    two = jumping(one, 48_000, lambda at_s: 6.0 if at_s > 4 else 0.0)
    (tmp_path / "a.ogg").write_bytes(one + two)
    _, total_s, report = heard_at_48_khz(tmp_path / "a.ogg")
    assert total_s == pytest.approx(22.0, abs=0.1)
    assert report.missing[0][0] > 8


def test_a_broken_link_loses_no_other(tmp_path: Path) -> None:
    link = ogg(tmp_path, "VORBIS", FIRST, 16_000)
    first_pages = b"".join(pages(link)[:1])  # a stream without its other headers
    (tmp_path / "a.ogg").write_bytes(first_pages + bytes(100) + link + first_pages + bytes(70_000) + link)
    with open_source(tmp_path / "a.ogg") as source:
        assert sum(map(len, source)) / source.sample_rate_hz == pytest.approx(4.0, abs=0.1)
        assert source.decode_errors


def test_links_begin_where_all_streams_begin(tmp_path: Path) -> None:
    link = ogg(tmp_path, "VORBIS", FIRST, 16_000)
    (tmp_path / "a.ogg").write_bytes(link + link)
    with (tmp_path / "a.ogg").open("rb") as file:
        assert find_links(file) == [(0, len(link)), (len(link), 2 * len(link))]
    first, *rest = pages(link)
    (tmp_path / "b.ogg").write_bytes(b"".join([first, first, *rest]))  # two streams at once
    with (tmp_path / "b.ogg").open("rb") as file:
        assert len(find_links(file)) == 1
