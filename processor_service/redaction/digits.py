"""Finds digits as they are spoken or written: groups, and runs of groups over hesitations and short answers."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from text_to_num import Token as NumberToken
from text_to_num import find_numbers

from processor_service.redaction.tokens import Text, Token, Unit
from processor_service.redaction.vocabulary import DOTS, IN_NUMBERS, MULTIPLES, NUMBER_LANGUAGES, SOUNDS_LIKE, ZEROS

WRITTEN = re.compile(r"\+?\d+(?:-\d+)*|\d(?:,\d)+|\d{3,}\.\d{3,}|\d+(?:\.\d+){2,}|\d\d?/\d\d(?:\d\d)?", re.ASCII)
MOST_VALUE = 100_000  # of a spoken group; a larger one is an amount
MOST_BETWEEN = 4  # tokens between two groups of a run
MOST_PAUSE_S = 10.0  # between two groups of a run


class Group(NamedTuple):
    """Digits that were said as one: the tokens `first` … `end` - 1. `form`: the lengths of its written parts."""

    first: int
    end: int
    digits: str
    form: tuple[int, ...] = ()


class Run(NamedTuple):
    """Groups that follow each other, with at most fillers between them. At least one."""

    groups: tuple[Group, ...]

    @property
    def first(self) -> int:
        return self.groups[0].first

    @property
    def end(self) -> int:
        return self.groups[-1].end

    @property
    def digits(self) -> str:
        return "".join(group.digits for group in self.groups)

    @property
    def form(self) -> tuple[int, ...]:
        """The lengths of the parts if the number was written; empty: some of it was said in words."""
        is_written = all(group.form for group in self.groups)
        return tuple(length for group in self.groups for length in group.form) if is_written else ()


class Speech(NamedTuple):
    """A transcript as recognizers read it. `runs` are in order."""

    units: Sequence[Unit]
    tokens: Sequence[Token]
    text: Text
    groups: Sequence[Group]
    runs: Sequence[Run]

    def pause_s(self, end: int, first: int) -> float:
        """Return the time between the tokens before `end` and a later one, `first`."""
        return self.units[self.tokens[first].unit].word.start - self.units[self.tokens[end - 1].last_unit].word.end

    def between(self, first: int, end: int) -> list[str]:
        """Return the texts of tokens."""
        return [token.text for token in self.tokens[max(0, first) : end]]

    def groups_in(self, first: int, end: int) -> Sequence[Group]:
        """Return the groups that begin between two tokens."""
        return self.groups[bisect_left(self.groups, (first,)) : bisect_left(self.groups, (end,))]

    def language(self, token: int) -> str | None:
        return self.units[self.tokens[token].unit].language


def read_speech(units: Sequence[Unit], tokens: Sequence[Token]) -> Speech:
    """Find the digits of a transcript."""
    groups = _groups(tokens, units)
    speech = Speech(units, tokens, Text(tokens), groups, ())
    return speech._replace(runs=_runs(speech))


def _groups(tokens: Sequence[Token], units: Sequence[Unit]) -> list[Group]:
    written = [_written(at, token.text) for at, token in enumerate(tokens) if _is_written(token.text)]
    spoken = [group for first, end in _same_language(tokens, units) for group in _spoken(tokens, units, first, end)]
    groups = _multiplied(tokens, sorted([*written, *spoken]))
    groups = _multiplied(tokens, _with_zeros(tokens, groups))  # `double oh`, and the `oh` of `oh double five`
    return _with_homophones(tokens, groups)


def _is_written(text: str) -> bool:
    return WRITTEN.fullmatch(text) is not None and not (text.count(".") == 3 and _is_ip(text))


def _is_ip(text: str) -> bool:
    """Whether four numbers are an IP address, and no phone number in pairs of digits."""
    parts = text.split(".")
    return all(part.isdecimal() and int(part) < 256 for part in parts) and any(len(part) != 2 for part in parts)


def _written(at: int, text: str) -> Group:
    parts = re.findall(r"\d+", text)
    return Group(at, at + 1, "".join(parts), tuple(map(len, parts)))


def _same_language(tokens: Sequence[Token], units: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    """Yield the spans of tokens in one language whose numbers are known."""
    first = 0
    for at in range(1, len(tokens) + 1):
        if at == len(tokens) or units[tokens[at].unit].language != units[tokens[first].unit].language:
            if units[tokens[first].unit].language in NUMBER_LANGUAGES:
                yield first, at
            first = at


class _Spoken(NumberToken):  # type: ignore[misc] # the library has no types
    """A token as text2num reads it. `word`: what it reads instead."""

    def __init__(self, word: str, *, is_separate: bool) -> None:
        self._word = word
        self._is_separate = is_separate

    def text(self) -> str:
        """Return the word."""
        return self._word

    def nt_separated(self, _: "_Spoken") -> bool:
        """Whether no number goes on from the previous word."""
        return self._is_separate


def _spoken(tokens: Sequence[Token], units: Sequence[Unit], first: int, end: int) -> Iterator[Group]:
    read = []
    for at in range(first, end):
        token = tokens[at]
        word = "|" if WRITTEN.fullmatch(token.text) or token.text in DOTS else token.text
        read.append(_Spoken(word, is_separate=at > first and bool(tokens[at - 1].tail)))
    for one in find_numbers(read, units[tokens[first].unit].language, 0):
        if not one.is_ordinal and one.value < MOST_VALUE and one.text.isdecimal():
            yield Group(first + one.start, first + one.end, one.text)


def _with_zeros(tokens: Sequence[Token], groups: Sequence[Group]) -> list[Group]:
    """Add each `oh` beside digits."""
    taken = {at for group in groups for at in range(group.first, group.end)}
    zeros = [at for at, token in enumerate(tokens) if token.text in ZEROS and at not in taken]
    added: list[Group] = []
    for order in (zeros, zeros[::-1]):  # `four oh oh` and `oh oh seven`
        for at in order:
            is_double = at > 0 and tokens[at - 1].text in MULTIPLES and at - 2 in taken
            if at not in taken and (is_double or _is_beside(tokens, at, taken)):
                taken.add(at)
                added.append(Group(at, at + 1, "0"))
    return sorted([*groups, *added])


def _is_beside(tokens: Sequence[Token], at: int, taken: set[int]) -> bool:
    """Whether digits are next to a token, or behind the dot that is next to it."""
    return any(
        at + step in taken
        or (at + 2 * step in taken and 0 <= at + step < len(tokens) and tokens[at + step].text in DOTS)
        for step in (-1, 1)
    )


def _with_homophones(tokens: Sequence[Token], groups: Sequence[Group]) -> list[Group]:
    """Add each word between single digits that sounds like one."""
    more = [
        Group(before.end, behind.first, SOUNDS_LIKE[tokens[before.end].text])
        for before, behind in pairwise(groups)
        if behind.first - before.end == 1
        and tokens[before.end].text in SOUNDS_LIKE
        and len(before.digits) == len(behind.digits) == 1
    ]
    return sorted([*groups, *more])


def _multiplied(tokens: Sequence[Token], groups: Sequence[Group]) -> list[Group]:
    """Apply `double` and `triple` to the digit that follows."""

    def multiplied(group: Group) -> Group:
        times = MULTIPLES.get(tokens[group.first - 1].text, 1) if group.first else 1
        if times == 1:
            return group
        return group._replace(first=group.first - 1, digits=group.digits[0] * times + group.digits[1:], form=())

    return [multiplied(group) for group in groups]


def _runs(speech: Speech) -> list[Run]:
    runs: list[list[Group]] = []
    for group in speech.groups:
        if runs and _goes_on(speech, runs[-1][-1], group):
            runs[-1].append(group)
        else:
            runs.append([group])
    return [Run(tuple(run)) for run in runs]


def _goes_on(speech: Speech, before: Group, group: Group) -> bool:
    if not 0 <= group.first - before.end <= MOST_BETWEEN:
        return False
    glued = speech.tokens[group.first].unit
    between = [token.text for token in speech.tokens[before.end : group.first] if token.unit != glued]
    return IN_NUMBERS.issuperset(between) and speech.pause_s(before.end, group.first) <= MOST_PAUSE_S
