"""Which numbers are results of sets: of tennis, table tennis, volleyball, badminton. They are as long as phone numbers.

A pair counts only if a set can end so. Of all numbers of eight digits, one in a thousand consists of such pairs.
"""

from collections.abc import Iterator, Sequence

from processor_service.redaction.digits import Group, Run

GAMES = frozenset({(6, 0), (6, 1), (6, 2), (6, 3), (6, 4), (7, 5), (7, 6)})
POINTS = frozenset({11, 15, 21, 25})  # that win a set, if the other side has two less; else it goes on
AHEAD = 2
FEWEST_SETS = 2


def are_scores(run: Run) -> bool:
    """Whether all numbers of a run are results of sets: `six four, three six`, `21-19, 19-21` or `64 36`."""
    if run.digits[0] == "0":  # `06 12` begins a phone number
        return False
    has_pairs = all(len(group.digits) == 2 for group in run.groups)
    numbers = [number for group in run.groups for number in _numbers(group)]
    return _are_results(numbers) or (has_pairs and _are_results([int(digit) for digit in run.digits]))


def _numbers(group: Group) -> Iterator[int]:
    """Yield the number of a group, or those that hyphens divide: `6-4`."""
    at = 0
    for length in group.form or (len(group.digits),):
        yield int(group.digits[at : at + length])
        at += length


def _are_results(numbers: Sequence[int]) -> bool:
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    return len(numbers) % 2 == 0 and len(pairs) >= FEWEST_SETS and all(_ends_set(*pair) for pair in pairs)


def _ends_set(one: int, other: int) -> bool:
    most, least = max(one, other), min(one, other)
    is_prolonged = least >= min(POINTS) - 1 and most - least == AHEAD
    return (most, least) in GAMES or is_prolonged or (most in POINTS and most - least >= AHEAD)
