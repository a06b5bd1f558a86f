"""The word error rate as Whisper's authors measure it."""

import warnings
from functools import cache
from typing import Any

from jiwer import wer


def word_error_rate(reference: str, text: str) -> float | None:
    """After Whisper's English normaliser (Radford et al. 2022, appendix C); None without a reference."""
    if not reference:
        return None
    normalise = _normaliser()
    return round(float(wer(normalise(reference), normalise(text))), 4)


@cache
def _normaliser() -> Any:
    from whisper.normalizers import EnglishTextNormalizer  # it imports torch: not before all contenders have run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its list of spellings open
        return EnglishTextNormalizer()
