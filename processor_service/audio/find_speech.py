"""Finds speech regions with Silero's voice activity detector. Lenient: to miss speech is worse than to keep noise."""

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.audio.source import Mono
from processor_service.audio.speech_net import WINDOW, speech_net

SAMPLE_RATE_HZ = 16_000
WINDOW_S = WINDOW / SAMPLE_RATE_HZ
QUIET_PEAK = 0.1  # quieter recordings are amplified to this peak before detection
SILENT_PEAK = 1e-4  # -80 dB: quieter recordings are not amplified


class SpeechSettings(msgspec.Struct, frozen=True, kw_only=True):
    start_probability: float = 0.4  # speech starts at this probability
    stop_probability: float = 0.2  # and ends below this one
    min_speech_s: float = 0.09  # shorter regions are clicks
    min_pause_s: float = 0.3  # shorter pauses do not split a region
    pad_s: float = 0.2  # added to both sides of a region


DEFAULTS = SpeechSettings()
FINE = SpeechSettings(min_pause_s=0.1, pad_s=0.0)  # finds the shortest pauses, at which audio can be cut


def speech_regions(mono: Mono, settings: SpeechSettings = DEFAULTS) -> list[tuple[float, float]]:
    """Return start and end, in seconds, of each speech region of 16 kHz mono audio; in order, without overlap."""
    spans = _above(speech_probabilities(mono), settings.start_probability, settings.stop_probability)
    seconds = [(start * WINDOW_S, end * WINDOW_S) for start, end in spans]
    spoken = [span for span in _bridged(seconds, settings.min_pause_s) if span[1] - span[0] >= settings.min_speech_s]
    duration_s = len(mono) / SAMPLE_RATE_HZ
    padded = [(max(0.0, start - settings.pad_s), min(duration_s, end + settings.pad_s)) for start, end in spoken]
    return _bridged(padded, 0.0)


def has_speech(mono: Mono) -> bool:
    return bool(speech_regions(mono))


def speech_probabilities(mono: Mono) -> npt.NDArray[np.float32]:
    """Return the probability of speech of each 32 ms of 16 kHz mono audio. Silence fills the last window."""
    windows = np.zeros((-(-len(mono) // WINDOW), WINDOW), np.float32)
    windows.reshape(-1)[: len(mono)] = mono
    windows *= _gain(mono)
    return speech_net().probabilities(windows)


def _gain(mono: Mono) -> np.float32:
    peak = float(np.abs(mono).max(initial=0.0))
    return np.float32(QUIET_PEAK / peak if SILENT_PEAK < peak < QUIET_PEAK else 1.0)


def _above(probabilities: npt.NDArray[np.float32], start: float, stop: float) -> list[tuple[int, int]]:
    """Spans [first, last) of windows that begin at or above `start` and end below `stop`."""
    spans: list[tuple[int, int]] = []
    begun: int | None = None
    for index, probability in enumerate(probabilities):
        if begun is None and probability >= start:
            begun = index
        elif begun is not None and probability < stop:
            spans.append((begun, index))
            begun = None
    if begun is not None:
        spans.append((begun, len(probabilities)))
    return spans


def _bridged(spans: list[tuple[float, float]], max_gap_s: float) -> list[tuple[float, float]]:
    """Merge spans that are at most `max_gap_s` apart."""
    merged: list[tuple[float, float]] = []
    for start, end in spans:
        if merged and start - merged[-1][1] <= max_gap_s:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged
