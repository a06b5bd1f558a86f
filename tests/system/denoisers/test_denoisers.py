"""Each denoiser improves speech in noise, and our arithmetic equals that of noisereduce."""

import re

import numpy as np
import pytest

from processor_service.audio.source import Mono
from processor_service.denoisers import DenoiserSettings, load_denoiser
from processor_service.denoisers.noisereduce_gate import fft_length
from processor_service.settings import ProcessorSettings
from shared.settings import SettingsError, load_settings
from tests.support.clips import WIZARD
from tests.tools.benchmarks.mixtures import RATE_HZ, load_clip, mixed, pink_noise
from tests.tools.benchmarks.si_sdr import si_sdr_db

REQUIRED = {
    "HEADRACE_DATABASE_URL": "postgresql://127.0.0.1/headrace",
    "HEADRACE_REDIS_URL": "redis://127.0.0.1",
    "HEADRACE_STORAGE_URL": "file:///nowhere",
}


def cleaned(samples: Mono, settings: DenoiserSettings, rate_hz: int = RATE_HZ) -> Mono:
    return load_denoiser(settings).cleaner(rate_hz, samples)(samples, 0, len(samples))


def rms_db(samples: Mono) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20))


@pytest.mark.parametrize(
    ("settings", "min_gain_db"),
    [
        (DenoiserSettings(), 2.0),
        (DenoiserSettings(is_stationary=True), 2.0),
        pytest.param(DenoiserSettings(name="deepfilternet"), 5.0, marks=pytest.mark.model),
    ],
    ids=["noisereduce", "stationary", "deepfilternet"],
)
def test_speech_in_pink_noise_becomes_cleaner(settings: DenoiserSettings, min_gain_db: float) -> None:
    clean = load_clip(WIZARD.path)
    noisy = mixed(clean, pink_noise(len(clean)), 0)
    gain_db = si_sdr_db(cleaned(noisy, settings), clean) - si_sdr_db(noisy, clean)
    assert gain_db > min_gain_db


@pytest.mark.parametrize("is_stationary", [False, True])
@pytest.mark.parametrize("rate_hz", [4_000, 16_000, 44_100])
def test_the_gate_equals_noisereduce(rate_hz: int, is_stationary: bool) -> None:  # noqa: FBT001 - parametrised
    from noisereduce import reduce_noise

    clean = load_clip(WIZARD.path)
    noisy = mixed(clean, pink_noise(len(clean)), 5)
    n_fft = fft_length(rate_hz)
    theirs = reduce_noise(
        y=noisy.astype(np.float64),
        sr=rate_hz,
        stationary=is_stationary,
        n_fft=n_fft,
        chunk_size=None,
        padding=2 * n_fft,
    )
    ours = cleaned(noisy, DenoiserSettings(is_stationary=is_stationary), rate_hz)
    # A rounding error may decide whether a level crosses a fixed threshold.
    assert rms_db(ours - theirs) < rms_db(theirs) - (60 if is_stationary else 90)


def test_a_span_is_denoised_as_within_the_whole() -> None:
    clean = load_clip(WIZARD.path)
    noisy = mixed(clean, pink_noise(len(clean)), 5)
    clean_span = load_denoiser(DenoiserSettings()).cleaner(RATE_HZ, None)
    span = clean_span(noisy, 1_001, 30_003)
    assert rms_db(span - clean_span(noisy, 0, len(noisy))[1_001:30_003]) < rms_db(span) - 90


@pytest.mark.parametrize("name", ["noisereduce", pytest.param("deepfilternet", marks=pytest.mark.model)])
def test_strength_0_changes_nothing(name: str) -> None:
    noisy = load_clip(WIZARD.path)
    untouched = cleaned(noisy, DenoiserSettings(name=name, strength=0.0))
    assert rms_db(untouched - noisy) < rms_db(noisy) - 90


def test_si_sdr_ignores_level_and_measures_noise() -> None:
    clean = load_clip(WIZARD.path)
    noise = pink_noise(len(clean))
    noise -= np.float32(noise @ clean / (clean @ clean)) * clean
    quiet = noise * np.float32(np.linalg.norm(clean) / np.linalg.norm(noise) / 10)
    assert si_sdr_db(clean + quiet, clean) == pytest.approx(20, abs=0.1)
    assert si_sdr_db(np.float32(3) * (clean + quiet), clean) == pytest.approx(20, abs=0.1)


def test_an_unknown_denoiser_is_refused_at_start() -> None:
    expected = "HEADRACE_DENOISER is invalid: There is no denoiser 'loud'. Choose one of noisereduce, deepfilternet."
    with pytest.raises(SettingsError, match=re.escape(expected)):
        load_settings(ProcessorSettings, REQUIRED | {"HEADRACE_DENOISER": "loud"})


@pytest.mark.parametrize("text", ["1.5", "-0.1", "much"])
def test_a_strength_is_from_0_to_1(text: str) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_DENOISE_STRENGTH must be a number from 0 to 1"):
        load_settings(ProcessorSettings, REQUIRED | {"HEADRACE_DENOISE_STRENGTH": text})


def test_settings_are_passed_to_the_denoiser() -> None:
    environ = {"HEADRACE_DENOISER": "noisereduce", "HEADRACE_NOISEREDUCE_STATIONARY": "true"}
    settings = load_settings(ProcessorSettings, REQUIRED | environ | {"HEADRACE_DENOISE_STRENGTH": "0.8"})
    assert settings.denoiser_settings() == DenoiserSettings(is_stationary=True, strength=0.8)
