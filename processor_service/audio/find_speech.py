"""Finds speech regions with Silero's voice activity detector. Lenient: to miss speech is worse than to keep noise."""

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.audio.level import NEAR_S, amplified, gains, in_windows, peaks_of, without_hum
from processor_service.audio.source import Mono
from processor_service.audio.speech_net import WINDOW, speech_net

SAMPLE_RATE_HZ = 16_000
WINDOW_S = WINDOW / SAMPLE_RATE_HZ
QUIET_PEAK = 0.1  # softer sound is amplified to this peak before detection
FAR_S = 10.0  # within which the level of a recording is measured
MIN_RISE = 2.0  # a gain in a pause; below, it was heard well enough
MIN_PAUSE_WINDOWS = 32  # 1 s; a shorter pause between regions of speech is not searched


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
    """Return the probability of speech of each 32 ms of 16 kHz mono audio. Silence fills the last window.

    Soft sound is amplified by its own level. Longer pauses between regions of speech are then searched alone: a voice
    there may be much softer than its neighbours.
    """
    windows = in_windows(mono)
    clean = without_hum(windows)
    peaks = peaks_of(clean)
    everywhere = np.ones(len(windows), np.bool_)
    gain = gains(peaks, everywhere, target=QUIET_PEAK, near_s=FAR_S)
    found = speech_net().probabilities(amplified(windows, clean, gain))
    for pause in _pauses(found):
        more = gains(peaks[pause], everywhere[pause], target=QUIET_PEAK, near_s=NEAR_S)
        if (more >= MIN_RISE).any():
            heard = speech_net().probabilities(amplified(clean[pause], clean[pause], more))
            found[pause] = np.maximum(found[pause], heard)
    return found


def _pauses(probabilities: npt.NDArray[np.float32]) -> list[slice]:
    """The pauses of at least `MIN_PAUSE_WINDOWS` between regions of speech, as slices of windows."""
    spans = _above(probabilities, DEFAULTS.start_probability, DEFAULTS.stop_probability)
    edges = [0, *(edge for span in spans for edge in span), len(probabilities)]
    pauses = zip(edges[::2], edges[1::2], strict=True)
    return [slice(start, end) for start, end in pauses if end - start >= MIN_PAUSE_WINDOWS]


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
