"""What a model heard of the language in parts of windows, and where it is unsure."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from processor_service.transcribers.choose_language import likeliest
from processor_service.transcribers.divide_languages import Hear
from processor_service.transcribers.language_track import Probabilities, slices_of
from processor_service.transcribers.segments import RecognizedWindow
from processor_service.transcribers.transcriber import Span
from shared.schemas.transcript import ResultWarning, WarningCode

SHOWN = 3  # candidates in a warning


class HeardLanguages:
    """A `Hear` that keeps the probabilities of each slice of a window."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._kept: dict[tuple[int, Span], Probabilities] = {}

    def __call__(self, number: int, span: Span) -> Probabilities:
        """See Hear."""
        self._kept[number, span] = self._hear(number, span)
        return self._kept[number, span]

    def added_to(self, recognized: RecognizedWindow, batch: Sequence[Span]) -> RecognizedWindow:
        """Return a window, or a part of one, with the mean probabilities of its slices."""
        start_s, end_s = recognized.span
        number = next(number for number, window in enumerate(batch) if window[0] <= start_s and end_s <= window[1])
        window = batch[number]
        slices = slices_of(window[1] - window[0])
        inside = [one for one in slices if start_s <= window[0] + (one[0] + one[1]) / 2 < end_s] or slices
        return msgspec.structs.replace(recognized, languages=_mean([self._kept[number, one] for one in inside]))


def _mean(heard: Sequence[Probabilities]) -> Mapping[str, float]:
    codes = {code for one in heard for code in one}
    return {code: float(np.mean([one.get(code, 0.0) for one in heard])) for code in codes}


def unsure_warnings(windows: Sequence[RecognizedWindow], least: float | None) -> Iterator[ResultWarning]:
    """Yield a warning for each window with words whose language is less probable than `least`."""
    for window in windows if least else ():
        probability = window.language_probability
        if window.words and least and probability is not None and probability < least:
            candidates = ", ".join(f"{code} {value:.2f}" for code, value in likeliest(window.languages or {})[:SHOWN])
            yield ResultWarning(
                code=WarningCode.LANGUAGE_UNSURE,
                message=f"The model is not sure of the language here. Probabilities: {candidates}.",
                start=round(window.words[0].start_s, 3),
                end=round(window.words[-1].end_s, 3),
            )
