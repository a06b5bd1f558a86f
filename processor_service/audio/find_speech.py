"""Where somebody speaks, by Silero's voice activity detector. Lenient: missed speech is worse than noise kept."""

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.audio.source import Mono
from processor_service.audio.speech_net import WINDOW, speech_net

SAMPLE_RATE_HZ = 16_000
WINDOW_S = WINDOW / SAMPLE_RATE_HZ
QUIET_PEAK = 0.1  # softer recordings are raised to this peak before they are judged
SILENT_PEAK = 1e-4  # -80 dB: below, nothing is raised


class SpeechSettings(msgspec.Struct, frozen=True, kw_only=True):
    start_probability: float = 0.4  # speech begins where the detector is at least this sure
    stop_probability: float = 0.2  # and goes on until it is less sure than this
    min_speech_s: float = 0.09  # shorter bursts are clicks
    min_pause_s: float = 0.3  # shorter pauses do not divide a region
    pad_s: float = 0.2  # regions are widened by this much on both sides


DEFAULTS = SpeechSettings()
FINE = SpeechSettings(min_pause_s=0.1, pad_s=0.0)  # tells the shortest pauses: places to cut


def speech_regions(mono: Mono, settings: SpeechSettings = DEFAULTS) -> list[tuple[float, float]]:
    """Start and end, in seconds, of each stretch of speech in 16 kHz mono; rising, apart from one another."""
    spans = _above(speech_probabilities(mono), settings.start_probability, settings.stop_probability)
    seconds = [(start * WINDOW_S, end * WINDOW_S) for start, end in spans]
    spoken = [span for span in _bridged(seconds, settings.min_pause_s) if span[1] - span[0] >= settings.min_speech_s]
    duration_s = len(mono) / SAMPLE_RATE_HZ
    padded = [(max(0.0, start - settings.pad_s), min(duration_s, end + settings.pad_s)) for start, end in spoken]
    return _bridged(padded, 0.0)


def has_speech(mono: Mono) -> bool:
    return bool(speech_regions(mono))


def speech_probabilities(mono: Mono) -> npt.NDArray[np.float32]:
    """The detector's probability of speech for each 32 ms of 16 kHz mono; the last window is filled up with silence."""
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
    """The spans, those merged that lie at most `max_gap_s` apart."""
    merged: list[tuple[float, float]] = []
    for start, end in spans:
        if merged and start - merged[-1][1] <= max_gap_s:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged
