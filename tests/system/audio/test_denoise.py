"""Denoised chunks: less noise, no audible joint, the same number of frames, for any audio."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from processor_service.audio.decode import open_source
from processor_service.audio.denoise import JOINT_S, block_frames, block_spans, denoise, denoise_chunk
from processor_service.audio.join import cross_fade, join_denoised, join_overlapping
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.source import Block
from processor_service.audio.write_chunks import ChunkFile, write_chunks
from processor_service.denoisers import Denoiser, DenoiserSettings, load_denoiser
from tests.support.audio.signals import CLIP, Signal, tone

RATE_HZ = 16_000
FADE_S = 0.5
SETTINGS = {
    "noisereduce": DenoiserSettings(),
    "stationary": DenoiserSettings(is_stationary=True),
    "deepfilternet": DenoiserSettings(name="deepfilternet"),
}
EACH = ["noisereduce", "stationary", pytest.param("deepfilternet", marks=pytest.mark.model)]


def noisy(duration_s: float) -> Signal:
    """Speech with steady hiss, 16 kHz."""
    frames = round(duration_s * RATE_HZ)
    hiss = 0.005 * np.random.default_rng(5).standard_normal(frames)
    return (np.resize(load_mono_16k(CLIP), frames) + hiss).astype(np.float32)


def whole_chunk(path: Path) -> ChunkFile:
    info = soundfile.info(path)
    return ChunkFile(
        path=str(path),
        ordinal=0,
        file_start_frame=0,
        core_start_frame=0,
        core_end_frame=info.frames,
        sample_rate_hz=info.samplerate,
        channels=info.channels,
    )


@pytest.fixture(params=EACH)
def denoiser(request: pytest.FixtureRequest) -> Denoiser:
    return load_denoiser(SETTINGS[request.param])


def in_one_piece(signal: Signal, denoiser: Denoiser) -> Block:
    return denoise(signal[:, np.newaxis], (0, len(signal)), [denoiser.cleaner(RATE_HZ, signal)])


def joint_frames(frames: int, denoiser: Denoiser) -> list[int]:
    spans = block_spans((0, frames), block_frames(denoiser, RATE_HZ), round(JOINT_S * RATE_HZ))
    return [start for start, _ in spans[1:]]


def denoised(signal: Signal, tmp_path: Path, denoiser: Denoiser, rate_hz: int = RATE_HZ) -> Block:
    soundfile.write(tmp_path / "in.flac", signal, rate_hz, subtype="PCM_24")
    denoise_chunk(whole_chunk(tmp_path / "in.flac"), tmp_path / "out.flac", denoiser, fade_s=FADE_S)
    samples, out_rate_hz = soundfile.read(tmp_path / "out.flac", dtype="float32", always_2d=True)
    assert out_rate_hz == rate_hz
    return np.asarray(samples, dtype=np.float32)


def level_db(samples: Block) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20))


def test_a_steady_hiss_is_reduced(tmp_path: Path, denoiser: Denoiser) -> None:
    signal = noisy(20)
    signal[5 * RATE_HZ : 8 * RATE_HZ] = 0.005 * np.random.default_rng(1).standard_normal(3 * RATE_HZ)
    quiet = slice(6 * RATE_HZ, 7 * RATE_HZ)
    assert level_db(denoised(signal, tmp_path, denoiser)[quiet]) < level_db(signal[quiet, np.newaxis]) - 6


@pytest.mark.parametrize(
    ("name", "duration_s", "below_db"),
    [("noisereduce", 140, 40), pytest.param("deepfilternet", 80, 20, marks=pytest.mark.model)],
)
def test_blocks_are_close_to_the_whole_at_their_joints(
    tmp_path: Path, name: str, duration_s: float, below_db: float
) -> None:
    denoiser = load_denoiser(SETTINGS[name])
    signal = noisy(duration_s)
    result = denoised(signal, tmp_path, denoiser)
    whole = in_one_piece(signal, denoiser)
    joints = joint_frames(len(signal), denoiser)
    assert len(joints) > 0
    for joint in joints:
        around = slice(joint - RATE_HZ // 2, joint + RATE_HZ // 2)
        assert level_db(result[around] - whole[around]) < level_db(whole) - below_db


def test_separately_denoised_chunks_join_to_the_whole(tmp_path: Path) -> None:
    denoiser = load_denoiser(SETTINGS["noisereduce"])
    signal = noisy(200)
    soundfile.write(tmp_path / "in.wav", signal, RATE_HZ, subtype="PCM_24")
    chunks: list[ChunkFile] = []
    with open_source(tmp_path / "in.wav") as source:
        write_chunks(source, tmp_path, threshold_s=60, chunk_s=50, on_chunk=chunks.append)
    assert len(chunks) == 4
    paths = [tmp_path / f"{chunk.ordinal}.denoised.flac" for chunk in chunks]
    for chunk, path in zip(chunks, paths, strict=True):
        denoise_chunk(chunk, path, denoiser, fade_s=FADE_S)
    join_denoised(paths, tmp_path / "joined.flac", fade_s=FADE_S)
    joined, _ = soundfile.read(tmp_path / "joined.flac", dtype="float32", always_2d=True)
    assert len(joined) == len(signal)
    whole = in_one_piece(signal, denoiser)
    # Cuts lie in pauses, where next to nothing is left: what counts is how loud the difference is beside the speech.
    for chunk in chunks[1:]:
        around = slice(chunk.core_start_frame - RATE_HZ // 2, chunk.core_start_frame + RATE_HZ // 2)
        assert level_db(joined[around] - whole[around]) < level_db(whole) - 60


@pytest.mark.parametrize("frames", [1, 2, 1_025, 5_000])
@pytest.mark.parametrize("rate_hz", [4_000, 16_000, 44_100, 384_000])
def test_very_short_audio_keeps_its_length(tmp_path: Path, denoiser: Denoiser, frames: int, rate_hz: int) -> None:
    result = denoised(tone(2.0, rate_hz)[:frames], tmp_path, denoiser, rate_hz)
    assert result.shape == (frames, 1)
    assert np.isfinite(result).all()


@pytest.mark.parametrize("value", [0.0, 1.0, 0.25])
def test_constant_audio_causes_no_division_by_zero(tmp_path: Path, denoiser: Denoiser, value: float) -> None:
    result = denoised(np.full(5 * RATE_HZ, value, np.float32), tmp_path, denoiser)
    assert np.isfinite(result).all()
    assert value != 0.0 or not result.any()


def test_sound_after_long_silence(tmp_path: Path, denoiser: Denoiser) -> None:
    signal = np.concatenate([np.zeros(40 * RATE_HZ, np.float32), noisy(10)])
    result = denoised(signal, tmp_path, denoiser)
    assert np.isfinite(result).all()
    assert not result[: 20 * RATE_HZ].any()
    assert level_db(result[-8 * RATE_HZ :]) > -40


def test_channels_are_independent(tmp_path: Path, denoiser: Denoiser) -> None:
    signal = np.stack([noisy(5), np.zeros(5 * RATE_HZ, np.float32)], axis=1)
    result = denoised(signal, tmp_path, denoiser)
    assert result[:, 0].any()
    assert not result[:, 1].any()
    twice = denoised(np.stack([signal[:, 0]] * 2, axis=1), tmp_path, denoiser)
    assert np.array_equal(twice[:, 0], twice[:, 1])
    assert np.array_equal(twice[:, 0], result[:, 0])


def test_loud_audio_stays_within_full_scale(tmp_path: Path, denoiser: Denoiser) -> None:
    speech = noisy(5)
    result = denoised(np.clip(20 * speech, -1, 1), tmp_path, denoiser)
    assert np.abs(result).max() <= 1.0


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_speech_is_not_delayed(tmp_path: Path, denoiser: Denoiser, rate_hz: int) -> None:
    signal = np.asarray(soxr.resample(noisy(5), RATE_HZ, rate_hz), np.float32)
    result = denoised(signal, tmp_path, denoiser, rate_hz)[:, 0]
    assert len(result) == len(signal)
    lags = np.fft.irfft(np.fft.rfft(result) * np.conj(np.fft.rfft(signal)))
    assert np.argmax(lags) == 0


def test_progress_increases_to_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.flac", noisy(200), RATE_HZ)
    fractions: list[float] = []
    chunk, denoiser = whole_chunk(tmp_path / "in.flac"), load_denoiser(SETTINGS["noisereduce"])
    denoise_chunk(chunk, tmp_path / "out.flac", denoiser, fade_s=FADE_S, on_progress=fractions.append)
    assert len(fractions) > 1
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize("rate_hz", [4_000, 44_100, 96_000, 384_000])
def test_blocks_are_bounded_at_all_rates(denoiser: Denoiser, rate_hz: int) -> None:
    length = block_frames(denoiser, rate_hz)
    assert round(JOINT_S * rate_hz) < length < denoiser.max_input_frames(rate_hz) <= 2_900_000


def test_cross_fade_of_equal_signals_changes_nothing() -> None:
    signal = noisy(1)[:, np.newaxis]
    assert np.array_equal(cross_fade(signal, signal), signal)


@pytest.mark.parametrize("fade_frames", [0, 1, 50])
@pytest.mark.parametrize("block_frames", [7, 100, 1_000])
def test_overlapping_pieces_of_one_signal_join_to_it(fade_frames: int, block_frames: int) -> None:
    signal = noisy(0.2)[:, np.newaxis]
    edges = [0, 300, 700, 1_000, len(signal)]
    pieces = [signal[start : end + fade_frames] for start, end in pairwise(edges)]
    blocks = ([piece[at : at + block_frames] for at in range(0, len(piece), block_frames)] for piece in pieces)
    assert np.array_equal(np.concatenate(list(join_overlapping(blocks, fade_frames))), signal)


def test_a_piece_shorter_than_the_overlap_is_an_error() -> None:
    signal = noisy(1)[:, np.newaxis]
    with pytest.raises(ValueError, match="shorter than the overlap"):
        list(join_overlapping([[signal], [signal[:10]]], 100))
