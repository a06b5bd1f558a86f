"""Follow the spoken language through windows, from the language probabilities of short slices. Pure.

The likeliest sequence of languages is found with Viterbi's algorithm. A change of language has a cost, so that one
slice in which the model errs does not change the language.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log

from processor_service.transcribers.transcriber import Span

SLICE_S = 2.5  # `base` is mostly sure of a language after this time
CHANGE_COST = 4.2  # in nats: two clear slices at the end, or three before others
BOUNDED_CHANGE_COST = 2.5  # where the client names the languages
LEAST_PROBABILITY = 0.02  # of a slice, so that a single one cannot outweigh the cost
CLEAR_FROM = 0.8  # a language is a candidate if it is clear in a slice, …
UNLIKELY_BELOW = 0.1  # … where the main language is unlikely

Probabilities = Mapping[str, float]


def slices_of(duration_s: float) -> list[Span]:
    """A window divided evenly into slices of about SLICE_S; at least one."""
    count = max(1, round(duration_s / SLICE_S))
    edges = [duration_s * number / count for number in range(count + 1)]
    return list(pairwise(edges))


def bounded(probabilities: Probabilities, allowed: Sequence[str]) -> Probabilities:
    """The probabilities of the allowed languages, with a sum of 1; all if none are given."""
    known = {code: max(probabilities.get(code, 0.0), 1e-9) for code in allowed} or probabilities
    total = sum(known.values())
    return {code: probability / total for code, probability in known.items()}


def bounded_slice(probabilities: Probabilities, allowed: Sequence[str]) -> Probabilities:
    """The probabilities of the allowed languages in a slice, with a sum of 1; all if none are given.

    What the model gives to other languages, as it may at a foreign name, says nothing about these: it is shared evenly.
    """
    if not allowed:
        return bounded(probabilities, allowed)
    known = {code: probabilities.get(code, 0.0) for code in allowed}
    other = max(0.0, 1.0 - sum(known.values())) / len(known)
    return bounded({code: probability + other for code, probability in known.items()}, allowed)


def follow(slices: Sequence[Probabilities], main: str, *, is_bounded: bool) -> list[str]:
    """The language of each slice in order. `main` is that of the recording."""
    candidates = [main, *_others(slices, main)]
    change_cost = BOUNDED_CHANGE_COST if is_bounded else CHANGE_COST
    costs = {code: change_cost * (code != main) for code in candidates}
    steps: list[dict[str, str]] = []
    for one in slices:
        before = {code: _cheapest(costs, code, change_cost) for code in candidates}
        costs = {
            code: costs[before[code]] + change_cost * (before[code] != code) - _log(one, code) for code in candidates
        }
        steps.append(before)
    return _backwards(steps, min(costs, key=lambda code: costs[code]))


def _cheapest(costs: Mapping[str, float], code: str, change_cost: float) -> str:
    """The language before `code` for which both cost least."""
    return min(costs, key=lambda other: costs[other] + change_cost * (other != code))


def _others(slices: Sequence[Probabilities], main: str) -> list[str]:
    best = [(max(one, key=lambda code: one[code]), one) for one in slices]
    clear = {code for code, one in best if one[code] >= CLEAR_FROM and one.get(main, 0.0) < UNLIKELY_BELOW}
    return sorted(clear - {main})


def _log(probabilities: Probabilities, code: str) -> float:
    return log(max(probabilities.get(code, 0.0), LEAST_PROBABILITY))


def _backwards(steps: Sequence[Mapping[str, str]], last: str) -> list[str]:
    languages: list[str] = []
    for before in reversed(steps):
        languages.append(last)
        last = before[last]
    return languages[::-1]
