"""Long files are cut in pauses; chunks contain every frame once and have their positions."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from processor_service.audio.decode import open_source
from processor_service.audio.find_speech import SAMPLE_RATE_HZ
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.source import Block
from processor_service.audio.split import choose_cut, plan_split
from processor_service.audio.write_chunks import ChunkFile, PreparedAudio, write_chunks
from tests.support.audio.signals import CLIP, Signal, babble

RATE_HZ = 8_000


def split(
    path: Path, out_dir: Path, *, threshold_s: float, chunk_s: float, stated_s: float | None = -1
) -> tuple[PreparedAudio, list[ChunkFile]]:
    chunks: list[ChunkFile] = []
    with open_source(path) as source:
        if stated_s is None or stated_s >= 0:
            source.duration_s = stated_s
        audio = write_chunks(source, out_dir, threshold_s=threshold_s, chunk_s=chunk_s, on_chunk=chunks.append)
    return audio, chunks


def cores(chunks: list[ChunkFile]) -> Block:
    parts = []
    for chunk in chunks:
        samples, _ = soundfile.read(chunk.path, dtype="float32", always_2d=True)
        offset = chunk.file_start_frame
        parts.append(samples[chunk.core_start_frame - offset : chunk.core_end_frame - offset])
    return np.concatenate(parts)


@pytest.fixture
def long_file(tmp_path: Path) -> tuple[Path, Signal]:
    """Two minutes of stereo audio, with a pause of 0.6 s every 5 s from 3.0 s on."""
    rng = np.random.default_rng(3)
    mono = babble(120, RATE_HZ, rng)
    for start_s in range(3, 120, 5):
        mono[start_s * RATE_HZ : int((start_s + 0.6) * RATE_HZ)] *= 0.001
    signal = np.stack([mono, mono * 0.5], axis=1)
    soundfile.write(tmp_path / "long.wav", signal, RATE_HZ)
    return tmp_path / "long.wav", signal


def test_chunks_contain_every_frame_once_without_loss(tmp_path: Path, long_file: tuple[Path, Signal]) -> None:
    path, _ = long_file
    audio, chunks = split(path, tmp_path, threshold_s=60, chunk_s=30)
    original, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert np.array_equal(cores(chunks), original)
    assert audio.chunk_count == len(chunks) == 4
    assert audio.duration_s == 120
    assert [chunk.ordinal for chunk in chunks] == [0, 1, 2, 3]
    assert all(one.core_end_frame == next_.core_start_frame for one, next_ in pairwise(chunks))
    assert audio.peak_dbfs == pytest.approx(20 * np.log10(np.abs(original).max()), abs=1e-3)


def test_chunk_files_contain_context(tmp_path: Path, long_file: tuple[Path, Signal]) -> None:
    _, chunks = split(long_file[0], tmp_path, threshold_s=60, chunk_s=30)
    ends = [chunk.file_start_frame + soundfile.info(chunk.path).frames for chunk in chunks]
    assert chunks[0].file_start_frame == 0
    assert ends[-1] == chunks[-1].core_end_frame
    for one, end, following in zip(chunks, ends, chunks[1:], strict=False):
        assert end - one.core_end_frame >= 3 * RATE_HZ
        assert following.core_start_frame - following.file_start_frame >= 3 * RATE_HZ


def test_cuts_are_in_pauses(tmp_path: Path, long_file: tuple[Path, Signal]) -> None:
    _, chunks = split(long_file[0], tmp_path, threshold_s=60, chunk_s=30)
    for chunk in chunks[1:]:
        within_s = (chunk.core_start_frame / RATE_HZ - 3) % 5
        assert 0 <= within_s <= 0.6, chunk


@pytest.mark.parametrize("stated_s", [None, 10.0, 59.0])
def test_a_file_with_a_wrong_or_no_duration_is_cut(
    tmp_path: Path, long_file: tuple[Path, Signal], stated_s: float | None
) -> None:
    audio, chunks = split(long_file[0], tmp_path, threshold_s=60, chunk_s=30, stated_s=stated_s)
    assert audio.chunk_count == 3
    assert chunks[-1].core_end_frame == 120 * RATE_HZ


def test_a_file_with_too_long_a_duration_has_no_tiny_last_chunk(tmp_path: Path, long_file: tuple[Path, Signal]) -> None:
    _, chunks = split(long_file[0], tmp_path, threshold_s=60, chunk_s=30, stated_s=1_000.0)
    assert min(chunk.core_end_frame - chunk.core_start_frame for chunk in chunks) > 5 * RATE_HZ


def test_a_short_file_is_one_chunk_without_context(tmp_path: Path, long_file: tuple[Path, Signal]) -> None:
    audio, chunks = split(long_file[0], tmp_path, threshold_s=1800, chunk_s=600)
    (chunk,) = chunks
    assert (chunk.file_start_frame, chunk.core_start_frame, chunk.core_end_frame) == (0, 0, 120 * RATE_HZ)
    assert soundfile.info(chunk.path).frames == 120 * RATE_HZ
    assert (audio.sample_rate_hz, audio.channels, audio.codec) == (RATE_HZ, 2, "pcm_16")


def test_chunk_files_may_be_deleted_at_once(tmp_path: Path, long_file: tuple[Path, Signal]) -> None:
    fractions: list[float] = []
    with open_source(long_file[0]) as source:
        write_chunks(
            source,
            tmp_path,
            threshold_s=60,
            chunk_s=30,
            on_chunk=lambda chunk: Path(chunk.path).unlink(),
            on_progress=fractions.append,
        )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert not list(tmp_path.glob("*.flac"))


def test_float_sources_keep_24_bits(tmp_path: Path) -> None:
    samples = (np.random.default_rng(0).standard_normal(8_000) * 0.1).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    _, chunks = split(tmp_path / "a.wav", tmp_path, threshold_s=60, chunk_s=30)
    assert soundfile.info(chunks[0].path).subtype == "PCM_24"
    assert np.abs(cores(chunks)[:, 0] - samples).max() <= 2**-24


def test_the_longest_pause_is_taken() -> None:
    speech = load_mono_16k(CLIP)
    spoken = speech[: 3 * SAMPLE_RATE_HZ]
    pause = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    audio = np.concatenate([spoken, pause, spoken, spoken])
    cut = choose_cut(audio)
    assert 3 <= cut.at_s <= 5
    assert not cut.in_speech


def test_the_quietest_instant_is_taken_without_a_pause() -> None:
    hum = np.sin(np.arange(20 * SAMPLE_RATE_HZ) / 5).astype(np.float32)
    hum[13 * SAMPLE_RATE_HZ : int(13.3 * SAMPLE_RATE_HZ)] *= 0.01
    assert 13 <= choose_cut(hum).at_s <= 13.3


def test_silence_is_cut_in_the_middle() -> None:
    assert choose_cut(np.zeros(20 * SAMPLE_RATE_HZ, np.float32)).at_s == pytest.approx(10, abs=0.1)


@given(
    duration_s=st.none() | st.floats(0.1, 100_000),
    sample_rate_hz=st.integers(4_000, 384_000),
    channels=st.integers(1, 8),
    threshold_s=st.floats(5, 4_000),
    chunk_s=st.floats(5, 2_000),
)
def test_plans_are_bounded(
    duration_s: float | None, sample_rate_hz: int, channels: int, threshold_s: float, chunk_s: float
) -> None:
    plan = plan_split(
        duration_s, sample_rate_hz=sample_rate_hz, channels=channels, threshold_s=threshold_s, chunk_s=chunk_s
    )
    assert 0 < plan.context_frames <= plan.search_frames <= plan.tail_frames
    # The maximum of held audio: context, search on both sides, tail; 150 MB of float32.
    held = plan.context_frames + 2 * plan.search_frames + plan.tail_frames
    assert held * channels * 4 <= 150e6
    # Consecutive searches do not overlap, so cuts are in order.
    assert plan.first_frame > 2 * plan.search_frames
    assert plan.step_frames > 2 * plan.search_frames
