"""Our arithmetic against the ONNX file of the package itself, run by onnxruntime one window at a time."""

from importlib.metadata import distribution

import numpy as np
import onnxruntime
import pytest

from processor_service.audio.speech_net import BLOCK, CONTEXT, STATE, WINDOW, Floats, speech_net
from tests.support.audio.signals import CLIP, babble
from tests.unit.audio.test_find_speech import mono_16k


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Floats:
    return np.asarray(mono_16k(CLIP, tmp_path_factory.mktemp("clip")), np.float32)


def windows_of(sound: Floats) -> Floats:
    return np.asarray(sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW), np.float32)


def reference(windows: Floats) -> Floats:
    path = distribution("silero-vad").locate_file("silero_vad/data/silero_vad.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state, context, found = np.zeros((2, 1, STATE), np.float32), np.zeros((1, CONTEXT), np.float32), []
    for window in windows:
        with_context = np.concatenate([context, window[np.newaxis]], axis=1)
        probability, state = session.run(None, {"input": with_context, "state": state, "sr": np.array(16_000)})
        found.append(probability.item())
        context = with_context[:, -CONTEXT:]
    return np.array(found, np.float32)


@pytest.mark.parametrize("level", [1.0, 0.01])
def test_speech_is_judged_as_by_the_package_itself(clip: Floats, level: float) -> None:
    windows = windows_of(np.tile(clip, 4) * np.float32(level))  # over the end of a block

    found = speech_net().probabilities(windows)

    assert len(windows) > BLOCK
    assert found.max() > 0.5
    assert found == pytest.approx(reference(windows), abs=1e-4)


def test_noise_is_judged_as_by_the_package_itself() -> None:
    windows = windows_of(babble(10, 16_000, np.random.default_rng(5)))
    assert speech_net().probabilities(windows) == pytest.approx(reference(windows), abs=1e-4)


@pytest.mark.parametrize("count", [0, 1, BLOCK, BLOCK + 1])
def test_each_window_has_a_probability(count: int) -> None:
    assert speech_net().probabilities(np.zeros((count, WINDOW), np.float32)).shape == (count,)


def test_what_comes_later_changes_nothing_before(clip: Floats) -> None:
    windows = windows_of(clip)
    whole = speech_net().probabilities(windows)
    assert speech_net().probabilities(windows[:100]) == pytest.approx(whole[:100], abs=1e-5)
