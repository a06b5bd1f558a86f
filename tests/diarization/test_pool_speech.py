"""Whether anybody speaks: two opinions, of which the net's is made up here and the detector's is of real sound."""

import numpy as np
import pytest

from processor_service.audio.load_mono import load_mono_16k
from processor_service.diarization.segmentation_net import FRAME_S, SAMPLE_RATE_HZ, frame_count
from processor_service.diarization.voice_embeddings import FloatArray, speaks
from tests.clips import GUTENBERG

SILENCE_S = 3.0


@pytest.fixture(scope="module")
def speech_then_silence() -> FloatArray:
    return np.concatenate([load_mono_16k(GUTENBERG.path), np.zeros(round(SILENCE_S * SAMPLE_RATE_HZ), np.float32)])


def _share_spoken(audio: FloatArray, net_says: float) -> tuple[float, float]:
    """How much of the speech, and of the silence well after it, counts as speech."""
    spoken = speaks(np.full(frame_count(len(audio)), net_says, np.float32), audio)
    silent = round(SILENCE_S / FRAME_S)
    return float(spoken[:-silent].mean()), float(spoken[-silent // 2 :].mean())


@pytest.mark.parametrize(
    ("net_says", "in_speech", "in_silence"),
    [(0.05, True, False), (0.55, True, False), (0.95, True, True)],
    ids=["the detector is sure alone", "the net bridges silence, unsure", "the net is sure alone"],
)
def test_who_is_sure_decides(
    speech_then_silence: FloatArray, net_says: float, *, in_speech: bool, in_silence: bool
) -> None:
    speech, silence = _share_spoken(speech_then_silence, net_says)

    assert (speech > 0.8) == in_speech
    assert silence == in_silence


def test_frames_after_the_end_of_the_sound_are_silent(speech_then_silence: FloatArray) -> None:
    speech = speech_then_silence[: 4 * SAMPLE_RATE_HZ]  # ends within a word
    frames = frame_count(len(speech)) + 200

    assert not speaks(np.full(frames, 0.5, np.float32), speech)[-190:].any()


def test_no_sound_is_no_speech() -> None:
    assert not speaks(np.full(589, 0.5, np.float32), np.zeros(0, np.float32)).any()
