"""Words of scripts without spaces. Whisper's tokens there are characters or parts of them. Pure."""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from processor_service.transcribers.segments import TimedWord
from shared.unspaced import UNSPACED, divide_words


def whole_words(units: Sequence[TimedWord]) -> list[TimedWord]:
    """The text of units in order, divided into words. A word that begins inside a unit takes a part of its time.

    Units of a text in scripts with spaces are words already.
    """
    text = "".join(unit.text for unit in units)
    if not re.search(f"[{UNSPACED}]", text):
        return list(units)
    edges = [0, *accumulate(len(unit.text) for unit in units)]
    cuts = [0, *accumulate(len(word) for word in divide_words(text))]
    return [_word(units, edges, start, end) for start, end in pairwise(cuts)]


def _word(units: Sequence[TimedWord], edges: Sequence[int], start: int, end: int) -> TimedWord:
    first = int(np.searchsorted(edges, start, side="right")) - 1
    last = int(np.searchsorted(edges, end, side="left")) - 1
    inside = range(first, last + 1)
    weights = [min(end, edges[number + 1]) - max(start, edges[number]) for number in inside]
    return TimedWord(
        "".join(unit.text for unit in units[first : last + 1])[start - edges[first] : end - edges[first]],
        _time_s(units[first], start - edges[first]),
        _time_s(units[last], end - edges[last]),
        float(np.average([units[number].probability for number in inside], weights=weights)),
    )


def _time_s(unit: TimedWord, characters: int) -> float:
    """The time after some characters of a unit."""
    return unit.start_s + (unit.end_s - unit.start_s) * characters / len(unit.text)
