"""The word error rate as in Whisper's paper, and what changed between two texts."""

import warnings
from functools import cache
from typing import Any

from jiwer import process_words, wer


def word_error_rate(reference: str, text: str) -> float | None:
    """The rate after Whisper's English normalisation (Radford et al. 2022, appendix C); None without a reference."""
    if not reference:
        return None
    normalise = _normaliser()
    return round(float(wer(normalise(reference), normalise(text))), 4)


def changed_words(before: str, after: str) -> int:
    """Return how many words of a text were replaced, left out or added, after the same normalisation."""
    normalise = _normaliser()
    found = process_words(normalise(before), normalise(after))
    return int(found.substitutions + found.deletions + found.insertions)


@cache
def _normaliser() -> Any:
    from whisper.normalizers import EnglishTextNormalizer  # imports torch: only after all contenders have run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it does not close its list of spellings
        return EnglishTextNormalizer()
