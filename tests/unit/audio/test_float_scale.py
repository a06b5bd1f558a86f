"""Floating point samples beyond full scale are scaled, not clipped."""

from pathlib import Path

import numpy as np
import pytest

from processor_service.audio.decode import open_source
from tests.support.audio.make_files import encoded, written
from tests.support.audio.signals import Signal, tone

RATE_HZ = 16_000
SIGNAL = tone(2.0, RATE_HZ)


def decoded(path: Path, content: bytes) -> Signal:
    path.write_bytes(content)
    with open_source(path) as source:
        return np.concatenate(list(source))[:, 0]


@pytest.mark.parametrize("peak", [1.3, 20.0, 32768.0, 1e9])
@pytest.mark.parametrize(
    ("format_name", "subtype"),
    [("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("AIFF", "FLOAT"), ("CAF", "FLOAT"), ("W64", "FLOAT")],
)
def test_the_shape_is_kept(tmp_path: Path, format_name: str, subtype: str, peak: float) -> None:
    loud = (SIGNAL / SIGNAL.max() * peak).astype(np.float32)
    signal = decoded(tmp_path / "loud", written(format_name, subtype, loud))
    assert np.allclose(signal, SIGNAL / SIGNAL.max(), atol=1e-5)


def test_a_video_with_float_samples(tmp_path: Path) -> None:
    signal = decoded(tmp_path / "a.mkv", encoded("matroska", "pcm_f32le", SIGNAL * 100, RATE_HZ))
    assert np.allclose(signal, SIGNAL / SIGNAL.max(), atol=1e-5)


@pytest.mark.parametrize("peak", [0.01, 0.4, 1.0])
def test_samples_within_full_scale_are_unchanged(tmp_path: Path, peak: float) -> None:
    quiet = (SIGNAL / SIGNAL.max() * peak).astype(np.float32)
    assert np.array_equal(decoded(tmp_path / "quiet.wav", written("WAV", "FLOAT", quiet)), quiet)


def test_a_click_does_not_silence_the_recording(tmp_path: Path) -> None:
    clicked = SIGNAL.copy()
    clicked[[500, 501, 9000]] = (1e30, np.nan, -np.inf)
    signal = decoded(tmp_path / "click.wav", written("WAV", "FLOAT", clicked))
    assert signal[[500, 501, 9000]].tolist() == [1.0, 0.0, 0.0]
    clicked[[500, 501, 9000]] = signal[[500, 501, 9000]]
    assert np.array_equal(signal, clicked)
