"""The levels by which files are cut are librosa's, which compiles for half a minute before its first."""

import numpy as np
import pytest
from librosa.feature import rms

from processor_service.audio.find_speech import SAMPLE_RATE_HZ
from processor_service.audio.split import RMS_FRAME, RMS_HOP, _levels_db


def test_the_levels_are_those_of_librosa() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE_HZ).astype(np.float32)
    levels = rms(y=noise, frame_length=RMS_FRAME, hop_length=RMS_HOP)[0]

    assert _levels_db(noise) == pytest.approx(20 * np.log10(levels), abs=0.01)
