"""Match the words of two texts in order: a script and what was heard. Pure.

Phrases that occur once in both texts are matched first, long ones before short ones (Cohen's patience diff), so that
long texts cost little. What is left between them is matched by edit distance.
"""

import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

PHRASES = (5, 3, 2, 1)  # lengths in words
MAX_CELLS = 40_000  # of one edit-distance table; a larger gap without a common phrase stays unmatched
ALIKE = 0.5  # similarity from which a word stands for another
UNALIKE_COST = 1.5  # instead of such a word: nearly that of leaving out both

Pair = tuple[int, int]  # positions in both texts
Table = npt.NDArray[np.float64]


def match_words(script: Sequence[str], heard: Sequence[str]) -> list[Pair]:
    """Return the pairs of equal or similar words, rising in both texts."""
    return list(_matched(script, heard, (0, len(script)), (0, len(heard)), 0))


def _matched(script: Sequence[str], heard: Sequence[str], own: Pair, other: Pair, depth: int) -> Iterator[Pair]:
    if own[0] == own[1] or other[0] == other[1]:
        return
    if (own[1] - own[0]) * (other[1] - other[0]) <= MAX_CELLS:
        pairs = _by_edits(script[slice(*own)], heard[slice(*other)])
        yield from ((own[0] + one, other[0] + two) for one, two in pairs)
        return
    if depth == len(PHRASES):
        return
    anchors = _anchors(script, heard, own, other, PHRASES[depth])
    edges = [(own[0] - 1, other[0] - 1), *anchors, (own[1], other[1])]
    for (one, two), (next_one, next_two) in pairwise(edges):
        if (one, two) != edges[0]:
            yield one, two
        yield from _matched(script, heard, (one + 1, next_one), (two + 1, next_two), depth + 1)


def _anchors(script: Sequence[str], heard: Sequence[str], own: Pair, other: Pair, length: int) -> list[Pair]:
    """Return the words of phrases that occur once in both texts, as many as are in the same order."""
    ours, theirs = _once(script, own, length), _once(heard, other, length)
    pairs = [(at, theirs[phrase]) for phrase, at in ours.items() if phrase in theirs]
    words: list[Pair] = []
    for one, two in _rising(sorted(pairs)):
        words += [(one + k, two + k) for k in range(length)]
    return _rising(sorted(set(words)))


def _once(words: Sequence[str], span: Pair, length: int) -> dict[tuple[str, ...], int]:
    phrases = [tuple(words[at : at + length]) for at in range(span[0], span[1] - length + 1)]
    counts = Counter(phrases)
    return {phrase: at for at, phrase in enumerate(phrases, span[0]) if counts[phrase] == 1}


def _rising(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the longest part of pairs, which rise in the first number, that also rises in the second."""
    ends: list[int] = []  # the smallest last number of a rising part of each length
    places: list[int] = []
    before: list[int] = []
    for number, (_, two) in enumerate(pairs):
        length = bisect.bisect_left(ends, two)
        ends[length : length + 1] = [two]
        places[length : length + 1] = [number]
        before.append(places[length - 1] if length else -1)
    chain: list[Pair] = []
    at = places[-1] if places else -1
    while at >= 0:
        chain.append(pairs[at])
        at = before[at]
    return _distinct(chain[::-1])


def _distinct(chain: Sequence[Pair]) -> list[Pair]:
    """Return the chain without pairs that use a word twice."""
    kept: list[Pair] = []
    for one, two in chain:
        if not kept or (one > kept[-1][0] and two > kept[-1][1]):
            kept.append((one, two))
    return kept


def _by_edits(script: Sequence[str], heard: Sequence[str]) -> list[Pair]:
    """Return the pairs on the cheapest way from one text to the other."""
    costs = np.zeros((len(script) + 1, len(heard) + 1))
    costs[:, 0], costs[0] = np.arange(len(script) + 1), np.arange(len(heard) + 1)
    replaced = np.array([[_cost(one, two) for two in heard] for one in script])
    for at in range(1, len(script) + 1):
        diagonal = np.minimum(costs[at - 1, :-1] + replaced[at - 1], costs[at - 1, 1:] + 1)
        row = np.concatenate([[float(at)], diagonal]) - np.arange(len(heard) + 1)
        costs[at] = np.minimum.accumulate(row) + np.arange(len(heard) + 1)  # leaving out words of the other costs 1
    return _way_back(costs, replaced)


def _way_back(costs: Table, replaced: Table) -> list[Pair]:
    pairs: list[Pair] = []
    one, two = costs.shape[0] - 1, costs.shape[1] - 1
    while one and two:
        if np.isclose(costs[one, two], costs[one - 1, two - 1] + replaced[one - 1, two - 1]):
            one, two = one - 1, two - 1
            if replaced[one, two] < UNALIKE_COST:
                pairs.append((one, two))
        elif np.isclose(costs[one, two], costs[one - 1, two] + 1):
            one -= 1
        else:
            two -= 1
    return pairs[::-1]


def _cost(one: str, other: str) -> float:
    if one == other:
        return 0.0
    alike = likeness(one, other)
    return 1.0 - alike / 2 if alike >= ALIKE else UNALIKE_COST


def likeness(one: str, other: str) -> float:
    """Return the share of common letters at the beginning and the end of two words."""
    longest, shortest = max(len(one), len(other)), min(len(one), len(other))
    head = next((at for at in range(shortest) if one[at] != other[at]), shortest)
    tail = next((at for at in range(shortest - head) if one[-1 - at] != other[-1 - at]), shortest - head)
    return (head + tail) / longest if longest else 0.0
