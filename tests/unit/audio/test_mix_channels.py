"""Speech in any channel is heard in the mix: whatever cancels it in the mean or covers it on the other channels."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from processor_service.audio.find_speech import SAMPLE_RATE_HZ, speech_regions
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.mix_channels import SEGMENT, STEP, best_path, mix_channels, mix_stream, possible_mixes
from processor_service.audio.segments import segments
from processor_service.audio.source import Block, Mono
from tests.support.audio.signals import tone
from tests.support.clips import GUTENBERG, JFK

PAUSE = np.zeros(SAMPLE_RATE_HZ, np.float32)
NOISE = np.random.default_rng(0).standard_normal(40 * SAMPLE_RATE_HZ).astype(np.float32)


@pytest.fixture(scope="module")
def woman() -> Mono:
    return _leveled(load_mono_16k(GUTENBERG.path))


@pytest.fixture(scope="module")
def man() -> Mono:
    return _leveled(load_mono_16k(JFK.path))


def _leveled(mono: Mono) -> Mono:
    return np.concatenate([PAUSE, mono * np.float32(0.5 / np.abs(mono).max()), PAUSE])


def _beside(*channels: Mono) -> Block:
    return np.stack(channels, axis=1)


def _likeness(mono: Mono, speech: Mono) -> float:
    """The correlation of a mix with the speech that it should contain, 0 to 1. Noise at 10 dB gives 0.95."""
    return abs(float(np.corrcoef(mono, speech)[0, 1]))


def _interference(kind: str, samples: int) -> Mono:
    seconds = samples / SAMPLE_RATE_HZ
    return {
        "noise": 0.2 * NOISE[:samples],
        "hum": 2 * (tone(seconds, SAMPLE_RATE_HZ, 50) + tone(seconds, SAMPLE_RATE_HZ, 250)),
        "bursts": 0.2 * NOISE[:samples] * (np.arange(samples) // (2 * SAMPLE_RATE_HZ) % 2),
        "nothing": 0 * NOISE[:samples],
        "an offset": 0 * NOISE[:samples] + 0.5,
    }[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["noise", "hum", "bursts", "nothing", "an offset"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_voice_on_one_side_is_clear_whatever_is_on_the_other(man: Mono, kind: str, side: int) -> None:
    channels = _beside(man, _interference(kind, len(man)))
    assert _likeness(mix_channels(channels[:, :: 1 - 2 * side]), man) > 0.95


def test_of_two_speakers_one_may_be_inverted_between_the_channels(woman: Mono, man: Mono) -> None:
    both = np.concatenate([woman, man, woman])
    mono = mix_channels(_beside(both, np.concatenate([woman, -man, woman])))
    parts = np.split(mono, np.cumsum([len(woman), len(man)]))
    for part, speech in zip(parts, (woman, man, woman), strict=True):
        assert _likeness(part, speech) > 0.95
        assert np.std(part) == pytest.approx(np.std(speech), rel=0.5)


def test_speakers_on_different_sides_are_both_heard(woman: Mono, man: Mono) -> None:
    left, right = np.pad(woman, (0, len(man))), np.pad(man, (len(woman), 0))
    mono = mix_channels(_beside(left + 0.02 * NOISE[: len(left)], right))
    assert _likeness(mono[: len(woman)], woman) > 0.9
    assert _likeness(mono[len(woman) :], man) > 0.95


def test_overlapping_speakers_on_different_sides_are_both_kept(woman: Mono, man: Mono) -> None:
    length = min(len(woman), len(man))
    mono = mix_channels(_beside(woman[:length], man[:length]))
    assert min(_likeness(mono, woman[:length]), _likeness(mono, man[:length])) > 0.5


@pytest.mark.parametrize(
    ("channels", "voice"), [(3, 2), (4, 2), (5, 2), (6, 2), (7, 2), (8, 2), (6, 3), (6, 4), (8, 7)]
)
def test_a_voice_in_one_of_many_channels_is_clear(man: Mono, channels: int, voice: int) -> None:
    noise = 0.1 * NOISE[: channels * len(man) // 4].repeat(4)[: channels * len(man)].reshape(-1, channels)
    noise[:, voice] = man
    assert _likeness(mix_channels(noise), man) > 0.95


def test_a_clean_film_is_mixed_by_its_layout() -> None:
    tones = _beside(*(tone(1.0, SAMPLE_RATE_HZ, hz) for hz in (500, 700, 900, 1100, 1300, 1500)))
    levels = np.abs(np.fft.rfft(mix_channels(tones)))[[500, 700, 900, 1100, 1300, 1500]]
    assert levels / levels[2] == pytest.approx([0.707, 0.707, 1.0, 0.0, 0.5, 0.5], abs=0.01)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_equal_channels_are_unchanged(man: Mono, channels: int) -> None:
    mono = mix_channels(np.repeat(man[:, np.newaxis], channels, axis=1))
    np.testing.assert_allclose(mono, man, rtol=0, atol=1e-4)  # pytest.approx compares in Python, for a second


@pytest.mark.parametrize("channels", [2, 6])
@pytest.mark.parametrize("level", [1.0, 1e-3, 0.0])
def test_noise_has_no_speech_in_any_mix(channels: int, level: float) -> None:
    noise = np.float32(0.1 * level) * NOISE[: 36 * SAMPLE_RATE_HZ]
    assert speech_regions(mix_channels(noise.reshape(-1, channels))) == []


def test_the_mix_has_no_steps(woman: Mono, man: Mono) -> None:
    both = np.concatenate([woman, man])
    mono = mix_channels(_beside(both, np.concatenate([woman, -man])))
    assert np.abs(np.diff(mono)).max() <= 1.5 * np.abs(np.diff(both)).max()


def test_a_part_of_a_file_is_mixed_as_in_the_whole(woman: Mono, man: Mono) -> None:
    channels = _beside(np.concatenate([woman, man, woman]), np.concatenate([woman, -man, 0.2 * NOISE[: len(woman)]]))
    whole = mix_channels(channels)
    start, end = len(woman) + 4 * SAMPLE_RATE_HZ, len(woman) + len(man)
    part = mix_channels(channels[start : end + 4 * SAMPLE_RATE_HZ])
    assert _likeness(part[: end - start], whole[start:end]) > 0.99


def test_the_stream_does_not_depend_on_its_blocks(man: Mono) -> None:
    channels = _beside(np.tile(man, 4), np.tile(-man, 4))
    assert len(channels) > SEGMENT
    blocks = (channels[start : start + 10_007] for start in range(0, len(channels), 10_007))
    assert np.array_equal(np.concatenate(list(mix_stream(blocks))), mix_channels(channels))


@pytest.mark.parametrize("frames", [0, 1, STEP - 1, STEP, STEP + 1])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_very_short_audio_keeps_its_length(frames: int, channels: int) -> None:
    assert mix_channels(NOISE[: frames * channels].reshape(frames, channels)).shape == (frames,)


def test_a_loaded_mix_is_within_full_scale(man: Mono, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    loud = man / np.abs(man).max()
    soundfile.write(path, _beside(loud, 0 * loud, loud, loud, 0 * loud, loud), SAMPLE_RATE_HZ)
    assert np.abs(load_mono_16k(path)).max() <= 1


@pytest.mark.parametrize("channels", range(2, 9))
def test_each_channel_is_a_possible_mix(channels: int) -> None:
    mixes = possible_mixes(channels)
    assert all(any(np.array_equal(mix, single) for mix in mixes) for single in np.eye(channels))


@pytest.mark.parametrize(
    ("scores", "path"),
    [
        ([[1, 0], [1, 0]], [0, 0]),
        ([[0, 1], [0, 1]], [1, 1]),
        ([[1, 0], [0.8, 1], [1, 0]], [0, 0, 0]),  # too short for two switches
        ([[1, 0]] * 3 + [[0, 1]] * 3, [0, 0, 0, 1, 1, 1]),
    ],
)
def test_the_path_switches_when_it_pays(scores: list[list[float]], path: list[int]) -> None:
    assert list(best_path(np.array(scores, np.float32))) == path


@pytest.mark.parametrize("length", [0, 5, 10, 13, 14, 25, 31])
def test_segments_contain_each_frame_once(length: int) -> None:
    stream = np.arange(length, dtype=np.float32)[:, np.newaxis]
    found = list(segments(iter(np.array_split(stream, 7)), 10, 3))
    cores = [piece[lead : lead + size] for piece, lead, size in found]
    assert np.array_equal(np.concatenate([stream[:0], *cores]), stream)
    assert all(lead == 3 for _, lead, _ in found[1:])
    assert all(size == 10 for _, _, size in found[:-1])
