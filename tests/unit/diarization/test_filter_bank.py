"""Properties of the features. Their values were compared with those of Kaldi."""

import numpy as np
import pytest

from processor_service.diarization.filter_bank import MEL_BANDS, SAMPLE_RATE_HZ, filter_bank


def _tone(hertz: float, seconds: float = 0.5) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ).astype(np.float32)


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16_000, 98)])
def test_incomplete_frames_are_dropped(samples: int, frames: int) -> None:
    assert filter_bank(np.zeros(samples, np.float32)).shape == (frames, MEL_BANDS)


def test_a_higher_tone_is_in_a_higher_band() -> None:
    bands = [int(filter_bank(_tone(hertz)).mean(axis=0).argmax()) for hertz in (200, 500, 1000, 2000, 4000, 7000)]

    assert bands == sorted(set(bands))


def test_twice_the_level_adds_a_constant() -> None:
    noise = np.random.default_rng(0).standard_normal(4000).astype(np.float32)

    np.testing.assert_allclose(filter_bank(2 * noise) - filter_bank(noise), np.log(4), atol=1e-3)


def test_long_audio_has_the_features_of_its_parts() -> None:
    noise = np.random.default_rng(0).standard_normal(25 * SAMPLE_RATE_HZ).astype(np.float32)

    late = 2100 * 160
    np.testing.assert_allclose(filter_bank(noise)[2100:2110], filter_bank(noise[late : late + 1840]), atol=1e-4)
