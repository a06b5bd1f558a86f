"""Detect the spoken language from windows of speech.

The model may be unsure, as with accents or telephone audio; `base` took a voice of southern England for Welsh. Then the
likely languages are compared by the product of their probability and that of their best text. If the model is very
unsure, it gets the speech a second time, with a later start, and the mean counts: test-time augmentation, as in
Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012.
"""

from collections.abc import Callable, Mapping, Sequence
from math import log

import numpy as np

from processor_service.transcribers.language_track import Probabilities, bounded, bounded_slice
from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.whisper_checks import Decoded
from processor_service.transcribers.whisper_model import Encoded, Language, WhisperModel, tokenizer_for
from processor_service.transcribers.word_times import FRAMES_PER_S

SURE_FROM = 0.9
LIKELY_FROM = 0.05
REPEAT_BELOW = 0.5
SHIFT_S = 1.0  # by which windows start later in the repetition
MAX_CANDIDATES = 5  # that are reported
MIN_WINDOW_S = 3.0  # shorter windows are not repeated


def choose_language(
    model: WhisperModel[Encoded],
    encoded: Encoded,
    encode_shifted: Callable[[], Encoded | None],
    allowed: Sequence[str] = (),
) -> Language:
    """The language of encoded windows of speech, with the model's probability.

    `encode_shifted` encodes `shifted_windows`, if there are any. It is called only if the model is very unsure. If
    languages are given, it is one of them.
    """

    def repeat() -> Mapping[str, float] | None:
        shifted = encode_shifted()
        return None if shifted is None else bounded(_mean(model.language_probabilities(shifted)), allowed)

    probabilities = mean_of_two(bounded(_mean(model.language_probabilities(encoded)), allowed), repeat)
    candidates = likely_languages(probabilities)
    if len(candidates) > 1:
        texts = {code: _text_log_probability(model, encoded, code) for code in candidates}
        candidates.sort(key=lambda code: log(probabilities[code]) + texts[code], reverse=True)
    return Language(candidates[0], round(probabilities[candidates[0]], 4), likeliest(probabilities))


def hear_language(
    model: WhisperModel[Encoded], encoded: Encoded, allowed: Sequence[str], number: int, span: Span
) -> Probabilities:
    """The language probabilities of a span of a window. Times are from the start of the window."""
    first = int(span[0] * FRAMES_PER_S)
    part = encoded[[number], first : max(first + 1, int(span[1] * FRAMES_PER_S))]
    return bounded_slice(model.language_probabilities(part)[0], allowed)


def shifted_windows(windows: Sequence[Span]) -> list[Span]:
    """The windows without their first second; short ones are left out."""
    return [(start_s + SHIFT_S, end_s) for start_s, end_s in windows if end_s - start_s >= MIN_WINDOW_S]


def mean_of_two(first: Mapping[str, float], repeat: Callable[[], Mapping[str, float] | None]) -> Mapping[str, float]:
    """The first probabilities if one of them is clear, else their mean with the repetition."""
    if max(first.values()) >= REPEAT_BELOW:
        return first
    second = repeat()
    return first if second is None else _mean([first, second])


def likely_languages(probabilities: Mapping[str, float]) -> list[str]:
    """The most probable language if the model is sure, else all probable ones in order."""
    ordered = sorted(probabilities, key=lambda code: -probabilities[code])
    if probabilities[ordered[0]] >= SURE_FROM:
        return ordered[:1]
    return [code for code in ordered if code == ordered[0] or probabilities[code] >= LIKELY_FROM]


def likeliest(probabilities: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """The most probable languages with their probabilities, in order."""
    ordered = sorted(probabilities, key=lambda code: -probabilities[code])[:MAX_CANDIDATES]
    return tuple((code, round(probabilities[code], 4)) for code in ordered)


def _mean(by_window: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {code: float(np.mean([one[code] for one in by_window])) for code in by_window[0]}


def _text_log_probability(model: WhisperModel[Encoded], encoded: Encoded, code: str) -> float:
    """The log probability of the best text of all windows in a language."""
    decoded = model.decoder(tokenizer_for(model, code, "transcribe"), None).decode(encoded)
    return sum(_log_probability(one) for one in decoded)


def _log_probability(decoded: Decoded) -> float:
    return decoded.mean_log_probability * (len(decoded.tokens) + 1)
