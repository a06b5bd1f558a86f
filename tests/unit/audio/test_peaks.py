"""The peaks equal what numpy finds in the whole signal, however it is divided into blocks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from processor_service.audio.decode import open_source
from processor_service.audio.peaks import OVERVIEW_PIXELS, PAIRS_PER_S, PeakMeter, peaks_json, scaled, zoomed_out
from processor_service.audio.scratch_files import WriteLimits, limit_writes
from processor_service.audio.source import Block
from processor_service.audio.write_chunks import ChunkFile, write_chunks
from processor_service.errors import AudioError
from shared.schemas.peaks import Peaks
from tests.support.audio.signals import tone

RATE_HZ = 8_000
PIXEL = RATE_HZ // PAIRS_PER_S
RATES_HZ = (4_019, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000)


def expected(mono: npt.NDArray[np.float32], pixel: int) -> list[int]:
    """The pairs by a loop over pixels, with integers of Python."""
    pixels = [mono[start : start + pixel] for start in range(0, len(mono), pixel)]
    return [max(-128, min(127, round(128 * float(edge)))) for each in pixels for edge in (min(each), max(each))]


def measured(signal: Block, rate_hz: int, block_frames: int) -> npt.NDArray[np.int8]:
    meter = PeakMeter(rate_hz, signal.shape[1])
    for start in range(0, len(signal), block_frames):
        meter.add(signal[start : start + block_frames])
    return meter.pairs()


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("block_frames", [1_000, 100_001])
@pytest.mark.parametrize("extra_frames", [0, 1, -1])
def test_pairs_of_noise_at_any_rate_in_any_blocks(rate_hz: int, block_frames: int, extra_frames: int) -> None:
    frames = 30 * (rate_hz // PAIRS_PER_S) + extra_frames
    noise = np.random.default_rng(rate_hz).uniform(-1, 1, (frames, 1)).astype(np.float32)

    pairs = measured(noise, rate_hz, block_frames)

    assert pairs.ravel().tolist() == expected(noise[:, 0], rate_hz // PAIRS_PER_S)
    assert len(pairs) == 30 + (extra_frames > 0)


@given(
    arrays(np.float32, st.integers(1, 3 * PIXEL), elements=st.floats(-1, 1, width=32)),
    st.lists(st.integers(1, 2 * PIXEL), max_size=5),
)
def test_blocks_do_not_matter(mono: npt.NDArray[np.float32], cuts: list[int]) -> None:
    meter = PeakMeter(RATE_HZ, 1)
    for block in np.split(mono[:, np.newaxis], sorted(cut for cut in cuts if cut < len(mono))):
        meter.add(block)

    assert meter.pairs().ravel().tolist() == expected(mono, PIXEL)


def test_silence_and_full_scale() -> None:
    silence, loud = np.zeros((PIXEL, 1), np.float32), np.ones((PIXEL, 1), np.float32)
    assert measured(np.concatenate([silence, loud, -loud, silence]), RATE_HZ, 7).tolist() == [
        [0, 0],
        [127, 127],
        [-128, -128],
        [0, 0],
    ]


def test_clipped_sound_reaches_both_ends() -> None:
    clipped = np.clip(5 * tone(1, RATE_HZ), -1, 1)[:, np.newaxis]
    assert set(map(tuple, measured(clipped, RATE_HZ, 999).tolist())) == {(-128, 127)}


def test_one_frame_is_one_pixel() -> None:
    assert measured(np.full((1, 2), 0.5, np.float32), RATE_HZ, 10).tolist() == [[64, 64]]


def test_two_channels_are_averaged() -> None:
    rng = np.random.default_rng(2)
    stereo = rng.uniform(-1, 1, (10 * PIXEL + 3, 2)).astype(np.float32)
    assert measured(stereo, RATE_HZ, 777).ravel().tolist() == expected(stereo.mean(axis=1), PIXEL)


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8])
def test_speech_in_the_centre_of_many_channels_is_seen(channels: int) -> None:
    surround = np.zeros((20 * PIXEL, channels), np.float32)
    surround[:, min(2, channels - 1)] = tone(1, RATE_HZ)
    assert np.ptp(measured(surround, RATE_HZ, 1000), axis=1).min() > 10


def test_opposite_phases_do_not_look_like_silence() -> None:
    sound = tone(1, RATE_HZ)
    stereo = np.stack([0.9 * sound, -sound], axis=1)
    half = len(sound) // 2
    stereo[:half] = sound[:half, np.newaxis]

    pairs = measured(stereo, RATE_HZ, 1234)

    assert pairs.ravel().tolist() == expected(np.concatenate([sound[:half], -sound[half:]]), PIXEL)


def test_blocks_of_a_planar_decoder_are_read_in_order() -> None:
    stereo = np.random.default_rng(3).uniform(-1, 1, (4 * PIXEL, 2)).astype(np.float32)
    meter = PeakMeter(RATE_HZ, 2)
    meter.add(np.asfortranarray(stereo))
    assert np.array_equal(meter.pairs(), measured(stereo, RATE_HZ, 100))


@pytest.mark.parametrize("pixels", [1, 9, 10, 11, 200])
def test_the_overview_has_the_extremes_of_ten_pixels(pixels: int) -> None:
    pairs = np.random.default_rng(pixels).integers(-128, 128, (pixels, 2), np.int8)

    overview = zoomed_out(pairs)

    parts = [pairs[start : start + OVERVIEW_PIXELS] for start in range(0, pixels, OVERVIEW_PIXELS)]
    assert overview.tolist() == [[part[:, 0].min(), part[:, 1].max()] for part in parts]


def test_all_values_are_written_as_json_of_the_schema() -> None:
    values = np.arange(-128, 128, dtype=np.int8)
    pairs = np.tile(values, 1000).reshape(-1, 2)  # more than are encoded at once

    text = peaks_json(pairs, 44_100, 2205)

    assert json.loads(text)["data"] == pairs.ravel().tolist()
    peaks = msgspec.json.decode(text, type=Peaks)
    assert (peaks.version, peaks.channels, peaks.bits, peaks.length) == (2, 1, 8, len(pairs))
    assert (peaks.sample_rate, peaks.samples_per_pixel) == (44_100, 2205)
    assert b" " not in text


def test_rounding_is_to_the_nearest() -> None:
    assert scaled(np.array([0.4 / 128, 0.6 / 128, -0.6 / 128], np.float32)).tolist() == [0, 1, -1]


def _blocks(seconds: int) -> Iterator[Block]:
    second = np.random.default_rng(1).uniform(-1, 1, (4_000, 1)).astype(np.float32)
    yield from (second for _ in range(seconds))


def written(tmp_path: Path, seconds: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
    meter = PeakMeter(4_000, 1)
    for block in _blocks(seconds):
        meter.add(block)
    files = meter.write(tmp_path)
    overview = json.loads(Path(files.overview_path).read_bytes()) if files.overview_path else None
    return json.loads(Path(files.detail_path).read_bytes()), overview


def test_a_file_of_an_hour_has_one_level(tmp_path: Path) -> None:
    detail, overview = written(tmp_path, 3600)
    assert detail["length"] == 72_000 == len(detail["data"]) // 2
    assert overview is None
    assert [path.name for path in tmp_path.iterdir()] == ["peaks.json"]


def test_a_longer_file_has_an_overview_of_two_pairs_a_second(tmp_path: Path) -> None:
    detail, overview = written(tmp_path, 3601)
    assert overview is not None
    assert (detail["length"], overview["length"]) == (72_020, 7_202)
    assert (detail["samples_per_pixel"], overview["samples_per_pixel"]) == (200, 2_000)
    assert min(overview["data"]) == min(detail["data"])


def test_peaks_count_against_the_budget(tmp_path: Path) -> None:
    meter = PeakMeter(RATE_HZ, 1)
    meter.add(np.zeros((RATE_HZ, 1), np.float32))
    limit_writes(WriteLimits(most_bytes=100))
    try:
        with pytest.raises(AudioError):
            meter.write(tmp_path)
    finally:
        limit_writes(WriteLimits())


def test_sections_do_not_interrupt_the_peaks(tmp_path: Path) -> None:
    """The pass that cuts a file into chunks with context gives each frame to the peaks once."""
    signal = np.random.default_rng(5).uniform(-0.5, 0.5, 20 * RATE_HZ + 123).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", signal, RATE_HZ, "FLOAT")
    chunks: list[ChunkFile] = []
    with open_source(tmp_path / "long.wav") as source:
        meter = PeakMeter(source.sample_rate_hz, source.channels)
        write_chunks(source, tmp_path, threshold_s=6, chunk_s=3, on_chunk=chunks.append, on_block=meter.add)

    assert len(chunks) > 5
    assert meter.pairs().ravel().tolist() == expected(signal, PIXEL)
