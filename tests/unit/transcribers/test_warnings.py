"""Doubtful audio and text get warnings with times; ordinary speech gets none."""

import numpy as np
import pytest

from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.load_mono import load_mono_16k
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, word
from processor_service.transcribers.warnings import sound_warnings, text_warnings
from shared.schemas.transcript import ResultWarning, Segment, WarningCode
from tests.support.clips import CLIPS, JFK, WIZARD, Clip


def _of_sound(audio: FloatArray) -> tuple[ResultWarning, ...]:
    return sound_warnings(audio, speech_regions(audio, FINE), is_end=True)


def _segment(text: str, confidence: float = 0.9) -> Segment:
    words = tuple(word(one, number, number + 1, confidence) for number, one in enumerate(text.split()))
    return Segment(id=0, start=0, end=len(words), text=text, confidence=confidence, no_speech_prob=0.0, words=words)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.path.stem)
@pytest.mark.parametrize("gain", [0.1, 0.9])
def test_a_usual_recording_has_no_warnings(clip: Clip, gain: float) -> None:
    audio = load_mono_16k(clip.path)
    assert _of_sound(audio * np.float32(gain / np.abs(audio).max())) == ()


@pytest.mark.parametrize("gain", [0.3, 1.0])
def test_clipping_is_detected_after_a_change_of_level(gain: float) -> None:
    audio = load_mono_16k(JFK.path)
    clipped = np.clip(audio * 8 / np.abs(audio).max(), -1, 1) * np.float32(gain)

    warning = next(one for one in _of_sound(clipped) if one.code == WarningCode.CLIPPED)

    assert warning.start is not None
    assert warning.end is not None
    assert 0 <= warning.start < warning.end <= len(audio) / SAMPLE_RATE_HZ


def test_quiet_speech_gets_a_warning() -> None:
    audio = load_mono_16k(JFK.path)

    (warning,) = _of_sound(audio * np.float32(0.004 / np.abs(audio).max()))

    assert warning.code == WarningCode.QUIET


def test_speech_that_is_cut_off_gets_a_warning() -> None:
    audio = load_mono_16k(WIZARD.path)[: 2 * SAMPLE_RATE_HZ]

    (warning,) = _of_sound(audio)

    assert warning.code == WarningCode.CUT_OFF
    assert warning.end == pytest.approx(2.0, abs=0.05)


def test_silence_is_neither_quiet_nor_cut_off() -> None:
    assert _of_sound(np.zeros(SAMPLE_RATE_HZ, np.float32)) == ()


@pytest.mark.parametrize(("phrase", "times"), [("you", 9), ("I don't know,", 6), ("a b c d e f g h i", 5)])
def test_a_repetition_gets_a_warning_with_times(phrase: str, times: int) -> None:
    before = "Well then, "
    (warning,) = text_warnings([_segment(before + " ".join([phrase] * times) + " so it goes")])

    words = len(phrase.split()) * times
    assert (warning.code, warning.start, warning.end) == (WarningCode.REPETITION, 2, 2 + words)


@pytest.mark.parametrize("text", ["no no no no", "Bye bye. Bye bye.", "la la la la la la la", JFK.text])
def test_normal_repetitions_get_no_warning(text: str) -> None:
    assert text_warnings([_segment(text)]) == ()


def test_adjacent_segments_of_low_confidence_share_a_warning() -> None:
    segments = [_segment("sure"), _segment("a b", 0.2), _segment("c d e", 0.3), _segment("sure"), _segment("f", 0.1)]

    warnings = text_warnings(segments)

    assert [one.code for one in warnings] == [WarningCode.LOW_CONFIDENCE] * 2
    assert [one.end for one in warnings] == [3, 1]
