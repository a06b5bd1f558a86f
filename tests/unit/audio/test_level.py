"""Soft sound is amplified by its own level, not by that of a click or a loud neighbour; silence stays silence."""

import numpy as np
import pytest

from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.level import SAMPLE_RATE_HZ, SOFT_SHARE, levelled
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.source import Mono
from processor_service.transcribers.transcriber import Span
from tests.support.audio.signals import tone
from tests.support.clips import GUTENBERG, JFK

JFK_S = 11.0


def _clip(peak: float) -> Mono:
    audio = load_mono_16k(JFK.path)
    return audio * np.float32(peak / np.abs(audio).max())


def _silence(seconds: float) -> Mono:
    """With the noise of a good converter."""
    noise = 1e-5 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    return noise.astype(np.float32)


def _spoken_s(regions: list[Span], start_s: float, end_s: float) -> float:
    return sum(max(0.0, min(end, end_s) - max(start, start_s)) for start, end in regions)


def _clicked(audio: Mono, *times_s: float) -> Mono:
    clicked = audio.copy()
    for time_s in times_s:
        clicked[int(time_s * SAMPLE_RATE_HZ) :][:40] = 0.99
    return clicked


USUAL_S = _spoken_s(speech_regions(_clip(0.7), FINE), 0, JFK_S)


@pytest.mark.parametrize("clicks_s", [(0.3,), (0.3, 0.9, 5.0, 5.3, 8.0)], ids=["one", "several"])
def test_clicks_do_not_hide_a_soft_voice(clicks_s: tuple[float, ...]) -> None:
    audio = _clicked(np.concatenate([_silence(1), _clip(0.001), _silence(1)]), *clicks_s)

    assert _spoken_s(speech_regions(audio, FINE), 1, 1 + JFK_S) > 0.85 * USUAL_S


@pytest.mark.parametrize("order", ["soft first", "loud first"])
def test_a_loud_speaker_does_not_hide_a_soft_one(order: str) -> None:
    soft, loud = _clip(0.7 / 200), load_mono_16k(GUTENBERG.path)
    audio = np.concatenate([soft, _silence(0.5), loud] if order == "soft first" else [loud, _silence(0.5), soft])
    start_s = 0.0 if order == "soft first" else len(audio) / SAMPLE_RATE_HZ - JFK_S

    assert _spoken_s(speech_regions(audio, FINE), start_s, start_s + JFK_S) > 0.85 * USUAL_S


@pytest.mark.parametrize("name", ["offset", "hum"])
def test_neither_an_offset_nor_hum_hides_a_soft_voice(name: str) -> None:
    voice = _clip(0.002)
    other = np.float32(0.3) if name == "offset" else tone(JFK_S, SAMPLE_RATE_HZ, 50)[: len(voice)] / 40

    assert _spoken_s(speech_regions(voice + other, FINE), 0, JFK_S) > 0.7 * USUAL_S


def test_amplified_silence_noise_and_hum_beside_speech_stay_without_speech() -> None:
    noise = np.random.default_rng(0).standard_normal(10 * SAMPLE_RATE_HZ).astype(np.float32)
    hum = tone(10, SAMPLE_RATE_HZ, 50) + tone(10, SAMPLE_RATE_HZ, 150) / 3
    for level in (1e-2, 1e-3, 1e-4):
        for sound in (noise, hum):
            regions = speech_regions(np.concatenate([_clip(0.7), sound * np.float32(level), _clip(0.7)]), FINE)
            assert _spoken_s(regions, JFK_S + 0.5, JFK_S + 9.5) == 0


def test_a_cut_file_has_the_regions_of_the_whole() -> None:
    loud = load_mono_16k(GUTENBERG.path)
    parts = [loud, _silence(3), _clip(0.004), _silence(3), loud]
    cut_s = len(loud) / SAMPLE_RATE_HZ + 1.5
    whole = np.concatenate(parts)

    second = speech_regions(whole[int(cut_s * SAMPLE_RATE_HZ) :], FINE)

    expected = [one for one in speech_regions(whole, FINE) if one[0] > cut_s]
    assert _spoken_s(second, 0, 60) == pytest.approx(_spoken_s(expected, 0, 60), rel=0.03)


def test_the_model_hears_a_soft_voice_louder_beside_a_loud_one_only() -> None:
    soft, loud = _clip(0.003), _clip(0.7)
    audio = np.concatenate([loud, _silence(1), soft])
    regions = [(0.0, JFK_S), (JFK_S + 1, 2 * JFK_S + 1)]

    heard = levelled(audio, regions)

    assert np.array_equal(heard[: len(loud) - SAMPLE_RATE_HZ], loud[:-SAMPLE_RATE_HZ])
    assert np.abs(heard[-len(soft) :]).max() > SOFT_SHARE * 0.7 / 2
    assert np.abs(heard).max() <= 1
    assert levelled(soft, [(0.0, JFK_S)]) is soft
    assert levelled(_silence(3), []).shape == (3 * SAMPLE_RATE_HZ,)
