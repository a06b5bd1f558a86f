"""Speech detection from two sources: synthetic probabilities of the net, and the detector on real audio."""

import numpy as np
import pytest

from processor_service.audio.load_mono import load_mono_16k
from processor_service.diarization.segmentation_net import FRAME_S, SAMPLE_RATE_HZ, frame_count
from processor_service.diarization.voice_embeddings import FloatArray, is_speech
from tests.support.clips import GUTENBERG

SILENCE_S = 3.0


@pytest.fixture(scope="module")
def speech_then_silence() -> FloatArray:
    return np.concatenate([load_mono_16k(GUTENBERG.path), np.zeros(round(SILENCE_S * SAMPLE_RATE_HZ), np.float32)])


def _share_spoken(audio: FloatArray, net: float) -> tuple[float, float]:
    """The fractions of the speech, and of the silence well after it, that count as speech."""
    spoken = is_speech(np.full(frame_count(len(audio)), net, np.float32), audio)
    silent = round(SILENCE_S / FRAME_S)
    return float(spoken[:-silent].mean()), float(spoken[-silent // 2 :].mean())


@pytest.mark.parametrize(
    ("net", "in_speech", "in_silence"),
    [(0.05, True, False), (0.55, True, False), (0.95, True, True)],
    ids=["only the detector is sure", "the net is unsure", "only the net is sure"],
)
def test_the_sure_source_decides(
    speech_then_silence: FloatArray, net: float, *, in_speech: bool, in_silence: bool
) -> None:
    speech, silence = _share_spoken(speech_then_silence, net)

    assert (speech > 0.8) == in_speech
    assert silence == in_silence


def test_frames_after_the_end_are_silent(speech_then_silence: FloatArray) -> None:
    speech = speech_then_silence[: 4 * SAMPLE_RATE_HZ]  # ends within a word
    frames = frame_count(len(speech)) + 200

    assert not is_speech(np.full(frames, 0.5, np.float32), speech)[-190:].any()


def test_empty_audio_has_no_speech() -> None:
    assert not is_speech(np.full(589, 0.5, np.float32), np.zeros(0, np.float32)).any()


def test_speech_far_in_the_background_is_not_amplified(speech_then_silence: FloatArray) -> None:
    speech = speech_then_silence[: -round(SILENCE_S * SAMPLE_RATE_HZ)]
    audio = np.concatenate([speech, speech_then_silence[-SAMPLE_RATE_HZ:], speech * 10 ** (-46 / 20)])

    spoken = is_speech(np.zeros(frame_count(len(audio)), np.float32), audio)

    assert spoken[: len(spoken) // 2].mean() > 0.8
    assert spoken[-len(spoken) // 3 :].mean() < 0.3
