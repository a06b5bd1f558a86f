"""Cross-talk between channels is found by delay and level; a channel's own speech stays, also below other speech."""

import numpy as np
import pytest

from processor_service.audio.cross_talk import HOP, SEGMENT, own_sound, silence
from processor_service.audio.find_speech import SAMPLE_RATE_HZ, speech_regions
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.source import Block, Mono
from tests.support.clips import GUTENBERG, JFK

NOISE = np.random.default_rng(0).standard_normal(70 * SAMPLE_RATE_HZ).astype(np.float32)


def _spoken(mono: Mono) -> Mono:
    return mono * np.float32(0.5 / np.abs(mono).max())


@pytest.fixture(scope="module")
def turns() -> tuple[Mono, Mono]:
    """Two speakers, one after the other, as two channels that do not hear each other."""
    woman, man = _spoken(load_mono_16k(GUTENBERG.path)), _spoken(load_mono_16k(JFK.path))
    return np.pad(woman, (0, len(man) + SAMPLE_RATE_HZ)), np.pad(man, (len(woman) + SAMPLE_RATE_HZ, 0))


@pytest.fixture(scope="module")
def together() -> tuple[Mono, Mono]:
    """Two speakers at the same time."""
    woman, man = _spoken(load_mono_16k(GUTENBERG.path)), _spoken(load_mono_16k(JFK.path))
    return woman, man[: len(woman)]


def _db(mono: Mono, gain_db: float, delay_ms: float = 0.0) -> Mono:
    delay = round(delay_ms * SAMPLE_RATE_HZ / 1000)
    return np.asarray(np.pad(mono, (delay, 0))[: len(mono)] * 10 ** (gain_db / 20), np.float32)


def _room(mono: Mono) -> Mono:
    """Through a room with 0.3 s of reverberation, and a telephone's band."""
    length = round(0.15 * SAMPLE_RATE_HZ)
    response = NOISE[:length] * np.exp(-np.arange(length) / (0.04 * SAMPLE_RATE_HZ))
    spectrum = np.fft.rfft(mono, 2 * len(mono)) * np.fft.rfft(response / np.linalg.norm(response), 2 * len(mono))
    hz = np.fft.rfftfreq(2 * len(mono), 1 / SAMPLE_RATE_HZ)
    return np.asarray(np.fft.irfft(spectrum * ((hz > 300) & (hz < 3400)))[: len(mono)], np.float32)


def _with_noise(*channels: Mono, level: float = 3e-4) -> Block:
    return np.stack([mono + level * np.roll(NOISE, 9999 * n)[: len(mono)] for n, mono in enumerate(channels)], axis=1)


def _kept_s(block: Block) -> list[float]:
    """The seconds of speech that are kept in each channel."""
    kept = own_sound([block])
    channels = [channel.copy() for channel in block.T]
    for channel, keep in zip(channels, kept.T, strict=True):
        silence(channel, keep)
    return _spoken_s(*channels)


def _spoken_s(*channels: Mono) -> list[float]:
    return [sum(end_s - start_s for start_s, end_s in speech_regions(mono)) for mono in channels]


@pytest.mark.parametrize(("level_db", "sign"), [(-40, 1), (-30, 1), (-30, -1), (-20, 1), (-12, 1), (-6, 1)])
def test_cross_talk_is_removed(turns: tuple[Mono, Mono], level_db: float, sign: int) -> None:
    one, other = turns
    block = _with_noise(one + sign * _db(other, level_db), other + sign * _db(one, level_db))
    assert _kept_s(block) == pytest.approx(_spoken_s(*turns), abs=0.5)


@pytest.mark.parametrize("delay_ms", [2, 180, 400])
def test_a_delayed_echo_is_removed(turns: tuple[Mono, Mono], delay_ms: float) -> None:
    one, other = turns
    block = _with_noise(one, other + _room(_db(one, -20, delay_ms)))
    assert _kept_s(block) == pytest.approx(_spoken_s(*turns), abs=0.5)


@pytest.mark.parametrize("level_db", [None, -30, -20])
def test_overlapping_speech_stays(together: tuple[Mono, Mono], level_db: float | None) -> None:
    one, other = together
    bleed_db = -300.0 if level_db is None else level_db
    block = _with_noise(one + _db(other, bleed_db, 30), other + _db(one, bleed_db, 60))
    assert _kept_s(block) == pytest.approx(_spoken_s(*together), abs=0.7)


@pytest.mark.parametrize("level_db", [-300, -45])
def test_a_soft_speaker_stays(turns: tuple[Mono, Mono], together: tuple[Mono, Mono], level_db: float) -> None:
    for one, other in (turns, together):
        soft = _db(other, -20)
        block = _with_noise(one, soft + _db(one, level_db), level=3e-5)
        assert _kept_s(block) == pytest.approx(_spoken_s(one, soft), abs=0.7)


@pytest.mark.parametrize(("delay_ms", "gain"), [(0, 1.0), (0, -1.0), (0, 0.97), (15, 1.0)])
def test_equal_channels_are_the_first_one(turns: tuple[Mono, Mono], delay_ms: float, gain: float) -> None:
    both = turns[0] + turns[1]
    kept = _kept_s(_with_noise(both, gain * _db(both, 0.0, delay_ms)))
    assert kept == pytest.approx([*_spoken_s(both), 0.0], abs=0.5)


def test_each_microphone_of_a_room_has_its_speaker(turns: tuple[Mono, Mono]) -> None:
    one, other = turns
    third = _db(one + other, -10, 3)
    kept = _kept_s(_with_noise(one + _db(other, -6, 2), other + _db(one, -6, 2), third))
    assert kept == pytest.approx([*_spoken_s(*turns), 0.0], abs=0.5)


def test_channels_without_common_sound_are_unchanged(together: tuple[Mono, Mono]) -> None:
    silent = 0 * together[0]
    for channels in (together, (together[0], silent), (silent, silent), (NOISE[:160_000], NOISE[160_000:320_000])):
        assert own_sound([np.stack(channels, axis=1)]).all()


def test_the_result_hardly_depends_on_the_start(turns: tuple[Mono, Mono]) -> None:
    one, other = (np.tile(mono, 3) for mono in turns)
    block = _with_noise(one + _db(other, -25, 20), other + _db(one, -25, 20))
    assert len(block) > SEGMENT
    start = 250 * HOP
    assert np.mean(own_sound([block])[250:] == own_sound([block[start:]])) > 0.98


@pytest.mark.parametrize("frames", [0, 1, HOP - 1, HOP, HOP + 1, SEGMENT + 1])
def test_any_length_is_judged(frames: int) -> None:
    kept = own_sound([0.1 * NOISE[: 2 * frames].reshape(frames, 2)])
    assert len(kept) == -(-frames // HOP)
    silence(NOISE[:frames].copy(), kept[:, 0])


def test_a_channel_fades_where_it_is_not_kept() -> None:
    kept = np.repeat(np.array([1.0, 0.0, 1.0], np.float32), 10)
    mono = np.ones(30 * HOP, np.float32)
    silence(mono, kept)
    assert not mono[11 * HOP : 19 * HOP].any()
    assert mono[: 9 * HOP].all()
    assert np.abs(np.diff(mono)).max() <= 1.01 / HOP
