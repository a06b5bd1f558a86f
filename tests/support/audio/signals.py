"""Signals for the audio tests, and the larger corpus if it is beside the repository."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

CORPUS = Path(__file__).parents[4] / "shared" / "audio"
CLIP = Path(__file__).parents[3] / "deploy" / "local" / "jfk.flac"  # 11 s of speech
Signal = npt.NDArray[np.float32]


def corpus(*categories: str) -> list[Any]:
    """Entries of the manifest as test parameters; one skipped parameter if there is no corpus."""
    if not (CORPUS / "manifest.json").exists():
        reason = "the larger audio corpus is not beside the repository"
        return [pytest.param(None, marks=[pytest.mark.corpus, pytest.mark.skip(reason=reason)], id="no corpus")]
    entries = json.loads((CORPUS / "manifest.json").read_text())
    return [
        pytest.param(entry, marks=pytest.mark.corpus, id=entry["file"])
        for entry in entries
        if entry["category"] in categories
    ]


def tone(duration_s: float, sample_rate_hz: int, hz: float = 440.0) -> Signal:
    times = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    return (0.4 * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def babble(duration_s: float, sample_rate_hz: int, rng: np.random.Generator) -> Signal:
    """Noise whose level changes four times a second, like speech."""
    times = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * times)
    noise = rng.standard_normal(len(times)).cumsum()
    noise -= np.convolve(noise, np.ones(64) / 64, "same")
    loud = 0.2 * swell * noise / np.abs(noise).max()
    return np.asarray(loud + 1e-3 * rng.standard_normal(len(times)), dtype=np.float32)
