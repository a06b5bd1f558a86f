"""Find the seam of two transcripts that overlap by some seconds. Pure.

Both contain the words around the cut; they join at a word that both have.
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

SAME_WORD_S = 0.5  # equal words whose middles are closer are the same word


class SpokenWord(NamedTuple):
    """A word in the time of the source."""

    text: str
    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def find_seam(first: Sequence[SpokenWord], second: Sequence[SpokenWord], cut_s: float) -> tuple[int, int]:
    """How many words of `first` to keep and how many of `second` to drop, so that each word appears once.

    They join at the common word nearest to the cut, or at the cut if there is none.
    """
    if not first or not second or first[-1].end_s <= second[0].start_s:
        return len(first), 0
    from_word = next(number for number, word in enumerate(first) if word.end_s > second[0].start_s - SAME_WORD_S)
    common = _common(first[from_word:], _until(second, first[-1].end_s + SAME_WORD_S))
    if not common:
        return _cut_at(first, second, cut_s)
    kept, dropped = min(common, key=lambda pair: abs(first[from_word + pair[0]].middle_s - cut_s))
    return from_word + kept + 1, dropped + 1


def _until(words: Sequence[SpokenWord], end_s: float) -> Sequence[SpokenWord]:
    return [word for word in words if word.start_s < end_s]


def _cut_at(first: Sequence[SpokenWord], second: Sequence[SpokenWord], cut_s: float) -> tuple[int, int]:
    """Keep the words of `first` before the cut, and the words of `second` after those."""
    kept = sum(word.middle_s < cut_s for word in first)
    kept_until_s = first[kept - 1].end_s if kept else second[0].start_s
    return kept, sum(word.middle_s < kept_until_s for word in second)


def _common(first: Sequence[SpokenWord], second: Sequence[SpokenWord]) -> list[tuple[int, int]]:
    """The positions of a longest common subsequence of words at about the same time."""
    lengths = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in reversed(range(len(first))):
        for j in reversed(range(len(second))):
            longest = max(lengths[i + 1][j], lengths[i][j + 1])
            lengths[i][j] = lengths[i + 1][j + 1] + 1 if _is_same(first[i], second[j]) else longest
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(first) and j < len(second):
        if _is_same(first[i], second[j]):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _is_same(one: SpokenWord, other: SpokenWord) -> bool:
    return abs(one.middle_s - other.middle_s) < SAME_WORD_S and _plain(one.text) == _plain(other.text) != ""


def _plain(text: str) -> str:
    """The text without case, spaces and punctuation, which may differ between two transcripts of a word."""
    return "".join(sign for sign in text.casefold() if unicodedata.category(sign)[0] in "LMN")
