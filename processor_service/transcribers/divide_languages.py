"""Divide windows where the spoken language changes.

The encoder's output for a window is in order of time, so a few seconds of it give the language of these seconds
without encoding again.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise
from math import log

import numpy as np

from processor_service.transcribers.language_track import Probabilities, follow, slices_of
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span

QUIET_FRAME_S = 0.02
QUIET_S = 0.2  # the length over which a pause is quiet
QUIET_APART_S = 0.4
MAX_CUTS = 5  # that are tried
MIN_PART_S = 1.0

Part = tuple[Span, str]  # a span and its language
HearPart = Callable[[Span], Probabilities]
Hear = Callable[[int, Span], Probabilities]  # the language of a part of a window, counted from 0; times from its start


def divide_languages(
    audio: FloatArray, windows: Sequence[Span], hear: Hear, main: str, *, is_bounded: bool
) -> list[list[Part]]:
    """The parts of each window, each in one language. `main` is the language of the recording."""
    slices = [slices_of(end_s - start_s) for start_s, end_s in windows]
    heard = [hear(number, one) for number, some in enumerate(slices) for one in some]
    languages = iter(follow(heard, main, is_bounded=is_bounded))
    labelled = [[(one, next(languages)) for one in some] for some in slices]
    return [
        list(_parts(audio, window, partial(hear, number), labelled[number])) for number, window in enumerate(windows)
    ]


def _parts(audio: FloatArray, window: Span, hear: HearPart, slices: Sequence[Part]) -> Iterator[Part]:
    """The parts of a window whose slices have these languages."""
    start_s = window[0]
    runs = [(code, [span for span, _ in run]) for code, run in groupby(slices, key=lambda one: one[1])]
    for (code, spans), (following, next_spans) in pairwise(runs):
        between = (spans[-1][0], next_spans[0][1])
        piece = audio[_sample(window[0] + between[0]) : _sample(window[0] + between[1])]
        cut_s = window[0] + _best_cut(hear, between, quiet_moments(piece), (code, following))
        yield (start_s, cut_s), code
        start_s = cut_s
    yield (start_s, window[1]), runs[-1][0]


def _best_cut(hear: HearPart, between: Span, moments: Sequence[float], codes: tuple[str, str]) -> float:
    """The moment between the languages: the quiet one with the first language before it and the second after it."""
    start_s, end_s = between

    def fitness(cut_s: float) -> float:
        before, after = hear((start_s, cut_s)), hear((cut_s, end_s))
        return log(before.get(codes[0], 0.0) + 1e-3) + log(after.get(codes[1], 0.0) + 1e-3)

    return max((start_s + moment for moment in moments), key=fitness, default=(start_s + end_s) / 2)


def quiet_moments(audio: FloatArray) -> list[float]:
    """The quietest moments of some seconds of audio, the quietest first, apart from each other and from the ends."""
    frame = int(QUIET_FRAME_S * SAMPLE_RATE_HZ)
    frames = audio[: len(audio) // frame * frame].reshape(-1, frame)
    levels = np.convolve((frames**2).mean(axis=1), np.ones(round(QUIET_S / QUIET_FRAME_S)), mode="same")
    moments: list[float] = []
    for number in np.argsort(levels):
        moment = (float(number) + 0.5) * QUIET_FRAME_S
        is_inside = MIN_PART_S <= moment <= len(audio) / SAMPLE_RATE_HZ - MIN_PART_S
        if is_inside and all(abs(moment - other) >= QUIET_APART_S for other in moments):
            moments.append(moment)
        if len(moments) == MAX_CUTS:
            break
    return moments


def _sample(time_s: float) -> int:
    return int(time_s * SAMPLE_RATE_HZ)
