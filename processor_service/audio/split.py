"""Decide where to cut a long file: where to search, and which pause or quiet instant to take."""

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.audio.find_speech import SpeechSettings, speech_regions
from processor_service.audio.source import Mono

SAMPLE_RATE_HZ = 16_000
# Speakers pause every few seconds, so one minute around the target has more than ten pauses. The searched audio is in
# memory, which bounds it.
MAX_SEARCH_S = 30.0
MAX_CONTEXT_S = 8.0  # four time constants of the denoiser's noise floor
MAX_HELD_VALUES = 1 << 25  # samples of all channels, 128 MiB; shortens search and context for extreme formats
LONG_PAUSE_S = 1.5  # a longer pause is no better
FAR_COSTS_S = 0.5  # a pause at the edge of the search is worth this much less than one at the target
RMS_FRAME, RMS_HOP = 1600, 160  # samples: the level over 100 ms, every 10 ms
ALIKE_DB = 3.0  # instants with smaller differences are equally quiet
FLOOR_DB = -90.0  # below, all is silence
# Finds clear pauses only: longer than the closure of a "p", and without their edges.
STRICT = SpeechSettings(start_probability=0.4, stop_probability=0.25, min_pause_s=0.2, pad_s=0.06)


class SplitPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Cuts are searched around `first_frame` and every `step_frames` after it, to the end of the audio."""

    first_frame: int
    step_frames: int
    search_frames: int  # maximum distance of a cut from its target
    tail_frames: int  # audio that must follow the searched part: the minimum length of the last chunk
    context_frames: int  # audio of the neighbours in a chunk file


def plan_split(
    duration_s: float | None, *, sample_rate_hz: int, channels: int, threshold_s: float, chunk_s: float
) -> SplitPlan:
    """Plan chunks of equal length if the stated duration is above the threshold.

    A file with a shorter or no stated duration is cut from the threshold on, in case it is longer.
    """
    step_s, first_s = chunk_s, threshold_s
    if duration_s is not None and duration_s > threshold_s:
        step_s = first_s = duration_s / max(1, round(duration_s / chunk_s))
    held_s = MAX_HELD_VALUES / (sample_rate_hz * channels)
    search_s = min(MAX_SEARCH_S, step_s / 4, first_s / 4, held_s / 4)
    return SplitPlan(
        first_frame=round(first_s * sample_rate_hz),
        step_frames=max(1, round(step_s * sample_rate_hz)),
        search_frames=round(search_s * sample_rate_hz),
        tail_frames=round(search_s * sample_rate_hz),
        context_frames=round(min(MAX_CONTEXT_S, search_s) * sample_rate_hz),
    )


class Cut(msgspec.Struct, frozen=True):
    """Where to cut, in seconds from the start of the searched part, and whether there may be speech at the cut."""

    at_s: float
    in_speech: bool


def choose_cut(mono: Mono) -> Cut:
    """Choose a cut in 16 kHz mono, as near to the middle as possible.

    It is the quietest instant of the longest pause near the middle, or of the whole if there is no pause.
    """
    duration_s = len(mono) / SAMPLE_RATE_HZ
    pauses = _pauses(speech_regions(mono, STRICT), duration_s)
    if not pauses:
        return Cut(_quietest_instant(mono, 0.0, duration_s), in_speech=True)
    start_s, end_s = max(pauses, key=lambda pause: _worth(pause, duration_s / 2))
    return Cut(_quietest_instant(mono, start_s, end_s), in_speech=False)


def _pauses(speech: list[tuple[float, float]], duration_s: float) -> list[tuple[float, float]]:
    """The spans between the regions of speech."""
    edges = [0.0, *(edge for region in speech for edge in region), duration_s]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end > start]


def _worth(pause: tuple[float, float], middle_s: float) -> float:
    start_s, end_s = pause
    distance_s = max(start_s - middle_s, middle_s - end_s, 0.0)
    return min(end_s - start_s, LONG_PAUSE_S) - FAR_COSTS_S * distance_s / middle_s


def _quietest_instant(mono: Mono, start_s: float, end_s: float) -> float:
    """The quiet instant between start and end that is nearest to the middle."""
    span = mono[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)]
    levels_db = _levels_db(span)
    quiet = np.flatnonzero(levels_db <= levels_db.min() + ALIKE_DB)
    nearest = quiet[np.abs(quiet - len(levels_db) // 2).argmin()]
    return min(end_s, start_s + float(nearest) * RMS_HOP / SAMPLE_RATE_HZ)


def _levels_db(mono: Mono) -> npt.NDArray[np.float64]:
    """The level of each frame, as `librosa.feature.rms`, which would compile for seconds in each child."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(mono, RMS_FRAME // 2), RMS_FRAME)[::RMS_HOP]
    levels = np.sqrt(np.mean(np.square(frames), axis=1))
    return np.asarray(20 * np.log10(np.maximum(levels, 10 ** (FLOOR_DB / 20))))
