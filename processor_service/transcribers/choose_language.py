"""Which language is spoken, asked of windows of speech.

Where the model is unsure, as with an accent or over the telephone, the text decides too: of the likely languages it is
the one that is, together with its likeliest text, the likeliest. base took a voice of southern England for Welsh. Where
it is most unsure it hears the speech a second time, begun later, and the mean counts: test-time augmentation, as in
Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012.
"""

from collections.abc import Callable, Mapping, Sequence
from math import log

import numpy as np

from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.whisper_checks import Decoded
from processor_service.transcribers.whisper_model import Encoded, Language, WhisperModel, tokenizer_for

SURE_FROM = 0.9
LIKELY_FROM = 0.05
HEARD_AGAIN_BELOW = 0.5
LATER_S = 1.0  # that a window begins when it is heard again
LEAST_WINDOW_S = 3.0  # that is heard again


def choose_language(
    model: WhisperModel[Encoded], encoded: Encoded, hear_again: Callable[[], Encoded | None]
) -> Language:
    """The language of encoded windows of speech, all of them heard; with the model's own probability.

    `hear_again` encodes what `begun_later` gives, if anything. It is called only where the model is most unsure.
    """

    def again() -> Mapping[str, float] | None:
        encoded_again = hear_again()
        return None if encoded_again is None else _mean(model.language_probabilities(encoded_again))

    probabilities = heard_twice(_mean(model.language_probabilities(encoded)), again)
    candidates = likely_languages(probabilities)
    if len(candidates) > 1:
        texts = {code: _text_log_probability(model, encoded, code) for code in candidates}
        candidates.sort(key=lambda code: log(probabilities[code]) + texts[code], reverse=True)
    return Language(candidates[0], round(probabilities[candidates[0]], 4))


def begun_later(windows: Sequence[Span]) -> list[Span]:
    """The windows without their beginning, except short ones."""
    return [(start_s + LATER_S, end_s) for start_s, end_s in windows if end_s - start_s >= LEAST_WINDOW_S]


def heard_twice(first: Mapping[str, float], again: Callable[[], Mapping[str, float] | None]) -> Mapping[str, float]:
    """What the model made of the speech; where that was no clear answer, the mean with what it makes of it again."""
    if max(first.values()) >= HEARD_AGAIN_BELOW:
        return first
    second = again()
    return first if second is None else _mean([first, second])


def likely_languages(probabilities: Mapping[str, float]) -> list[str]:
    """The likeliest alone where the model is sure of it, else all that come into question; the likeliest first."""
    ordered = sorted(probabilities, key=lambda code: -probabilities[code])
    if probabilities[ordered[0]] >= SURE_FROM:
        return ordered[:1]
    return [code for code in ordered if code == ordered[0] or probabilities[code] >= LIKELY_FROM]


def _mean(by_window: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {code: float(np.mean([one[code] for one in by_window])) for code in by_window[0]}


def _text_log_probability(model: WhisperModel[Encoded], encoded: Encoded, code: str) -> float:
    """The log probability of the likeliest text of all windows in a language."""
    decoded = model.decoder(tokenizer_for(model, Language(code), "transcribe"), None).decode(encoded)
    return sum(_log_probability(one) for one in decoded)


def _log_probability(decoded: Decoded) -> float:
    return decoded.mean_log_probability * (len(decoded.tokens) + 1)
