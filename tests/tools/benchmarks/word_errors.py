"""The word error rate as in Whisper's paper."""

import warnings
from functools import cache
from typing import Any

from jiwer import wer


def word_error_rate(reference: str, text: str) -> float | None:
    """The rate after Whisper's English normalisation (Radford et al. 2022, appendix C); None without a reference."""
    if not reference:
        return None
    normalise = _normaliser()
    return round(float(wer(normalise(reference), normalise(text))), 4)


@cache
def _normaliser() -> Any:
    from whisper.normalizers import EnglishTextNormalizer  # imports torch: only after all contenders have run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it does not close its list of spellings
        return EnglishTextNormalizer()
