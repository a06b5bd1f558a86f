"""Finds numbers of cards, phones, accounts and persons.

The kind of a number follows from what was named before it, and otherwise from its length and form.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from processor_service.redaction.digits import Run, Speech
from processor_service.redaction.phones import is_phone
from processor_service.redaction.scores import are_scores
from processor_service.redaction.tokens import Found, found
from processor_service.redaction.vocabulary import (
    CALLS,
    CONTEXTS,
    IN_NUMBERS,
    MEASURES,
    PRONOUNS_BEFORE,
    RANKS_BEFORE,
    TIMES_BEFORE,
)
from shared.schemas.redaction import RedactedKind

NAMED_BEFORE, NAMED_BEHIND = 30, 6  # tokens between the name of a kind and a number
CALL_BEFORE = 15  # tokens between an invitation to call and a number
OTHER_BEFORE = 8  # tokens between the name of another number, such as one of an order, and that number
CODE_BEHIND = 12  # tokens between the name of a card's code and the code
APART, APART_S = 14, 25.0  # tokens and time between the parts of a number whose kind was named
CARD_DIGITS = range(13, 20)
LAST_FOUR = range(3, 5)
EXPIRY = re.compile(r"(?:0?[1-9]|1[0-2])(?:20)?[23]\d", re.ASCII)  # said before the security code
CALLED_BEFORE, CALLED_DIGITS = 5, range(9, 13)  # tokens between the word `number` and a number, and its digits
LONGEST_QUANTITY = 3  # digits
YEARS_OR_TIMES = re.compile(  # groups with spaces between them; times are `7 15` or `715`
    r"(?:(?:(?:18|19|20)\d\d|(?:[1-9]|1\d|2[0-3]) ?[0-5]\d)(?: |$))+", re.ASCII
)
MOST_HOURS, HOUR_DIGITS = 2, 2
SHORTEST_LIST = 5  # groups

# Digits of a number whose kind was named. Speech recognition loses and doubles some; the other speaker may repeat each.
NAMED_DIGITS = {
    "card": range(12, 81),
    "card_code": range(3, 7),
    "ssn": range(8, 19),
    "phone": range(7, 31),
    "account": range(5, 31),
}
# Digits that are enough directly behind the name: speech recognition took the others for words.
FEW_DIGITS = {"card": range(6, 12), "ssn": range(5, 8), "phone": range(6, 7)}
FEW_WITHIN = 4  # tokens
USUAL_DIGITS = {"card": 15, "ssn": 9, "phone": 10, "account": 8}  # no part is added beyond, unless it follows directly
MOST_PARTS = 40


class Named(NamedTuple):
    """Where the kind of a number was named."""

    first: int
    end: int
    kind: str
    is_call: bool = False  # only an invitation to call: scores and times behind it are no phone number


def find_numbers(speech: Speech) -> Iterator[Found]:
    """Find numbers, each with its kind."""
    found_in = _Numbers(speech)
    runs = [run for run in speech.runs if not _is_quantity(speech, run)]
    at = 0
    while at < len(runs):
        kind, count = found_in.kind_of(runs[at : at + MOST_PARTS])
        if kind:
            groups = [group for run in runs[at : at + count] for group in run.groups]
            yield found(kind, [token for group in groups for token in speech.tokens[group.first : group.end]])
        at += count


def _is_quantity(speech: Speech, run: Run) -> bool:
    """Whether a short number counts something: `the first one`, `the last four`, `45 minutes`."""
    if len(run.groups) > 1 or len(run.digits) > LONGEST_QUANTITY:
        return False
    before, behind = speech.between(run.first - 1, run.first), speech.between(run.end, run.end + 1)
    is_measured = bool(MEASURES.intersection(behind)) and not speech.tokens[run.end - 1].tail
    is_pronoun = run.digits == "1" and not PRONOUNS_BEFORE.isdisjoint(before)
    return is_measured or is_pronoun or not RANKS_BEFORE.isdisjoint(before)


class _Numbers:
    """Decides kinds in order. The name of a kind stands for one number; then only numbers of its usual length count."""

    def __init__(self, speech: Speech) -> None:
        self._speech = speech
        named = [Named(first, end, kind) for kind, one in CONTEXTS.items() for first, end, _ in speech.text.find(one)]
        calls = [Named(first, end, "phone", is_call=True) for first, end, _ in speech.text.find(CALLS)]
        self._named = sorted([*named, *calls])
        self._done: set[Named] = set()

    def kind_of(self, runs: Sequence[Run]) -> tuple[str | None, int]:
        """Return the kind of the first run, and how many runs are one number with it."""
        run = runs[0]
        before, behind = self._before(run), self._behind(run)
        is_open = before is not None and before not in self._done
        if before and is_open and before.kind in USUAL_DIGITS and (count := self._parts(runs, before)):
            self._done.add(before)
            return before.kind, count
        for context in filter(None, (before, behind)):
            kind = None if self._is_no_answer(context, run) else _kind_as_named(self._speech, run, context)
            if kind and (context not in self._done or _has_usual_length(run, kind)):
                is_expiry = context is behind and context.kind == "card_code"
                self._done.update(() if is_expiry else (context,))  # the code itself is still to come
                return kind, 1
        return _kind_by_form(self._speech, run, before), 1

    def _before(self, run: Run) -> Named | None:
        """Return the last name of a kind before a run. Invitations to call count only near it."""
        for at in range(bisect_left(self._named, (run.first,)) - 1, -1, -1):
            named = self._named[at]
            between = run.first - named.end
            if between > NAMED_BEFORE:
                return None
            if 0 <= between <= (CALL_BEFORE if named.is_call else NAMED_BEFORE):
                return named
        return None

    def _is_no_answer(self, named: Named, run: Run) -> bool:
        """Whether a number behind an invitation to call is none to call: `call us between 9 30 and 17 45`."""
        return named.is_call and (are_scores(run) or _are_times(self._speech, run))

    def _behind(self, run: Run) -> Named | None:
        at = bisect_left(self._named, (run.end,))
        is_near = at < len(self._named) and self._named[at].first - run.end <= NAMED_BEHIND
        return self._named[at] if is_near else None

    def _parts(self, runs: Sequence[Run], before: Named) -> int:
        """Return how many runs, with words between them, are one number of the kind that was named; 0: none."""
        digits, count, kind = 0, 0, before.kind
        for number, run in enumerate(runs):
            if self._is_no_answer(before, run):
                break
            if number and not self._goes_on(runs[number - 1], run, kind, is_complete=digits >= USUAL_DIGITS[kind]):
                break
            digits += len(run.digits)
            count = number + 1 if digits in NAMED_DIGITS[kind] else count
        return count

    def _goes_on(self, last: Run, run: Run, kind: str, *, is_complete: bool) -> bool:
        between = self._speech.between(last.end, run.first)
        if is_complete and not IN_NUMBERS.issuperset(between):
            return False
        if len(between) > APART or self._speech.pause_s(last.end, run.first) > APART_S:
            return False
        named = self._named[bisect_left(self._named, (last.end,)) : bisect_left(self._named, (run.first,))]
        return all(one.kind == kind for one in named)


def _has_usual_length(run: Run, kind: str) -> bool:
    digits = len(run.digits)
    return digits in CARD_DIGITS if kind == "card" else digits == USUAL_DIGITS.get(kind)


def _kind_as_named(speech: Speech, run: Run, context: Named) -> str | None:
    digits, kind = len(run.digits), context.kind
    if kind == "ssn" and digits in LAST_FOUR and "last" in speech.between(context.first - 6, run.first):
        return RedactedKind.SSN
    is_near = 0 <= run.first - context.end <= FEW_WITHIN
    if is_near and digits in FEW_DIGITS.get(kind, ()):
        return kind
    if digits not in NAMED_DIGITS.get(kind, ()):
        return None
    if kind == "card_code":
        is_behind = 0 <= run.first - context.end <= CODE_BEHIND
        is_expiry = context.first >= run.end and EXPIRY.fullmatch(run.digits) is not None
        return RedactedKind.CARD if is_behind or is_expiry else None
    return kind


def _kind_by_form(speech: Speech, run: Run, before: Named | None) -> str | None:
    """Return the kind of a number without a word before it that names its kind."""
    digits = run.digits
    if _is_list(run) or are_scores(run):
        return None
    if run.form == (3, 2, 4) and digits[:3] not in {"000", "666"} and digits[0] != "9":
        return RedactedKind.SSN
    is_other = before is not None and before.kind == "other" and run.first - before.end <= OTHER_BEFORE
    if not is_other and (_is_phone(speech, run) or _is_called_number(speech, run)):
        return RedactedKind.PHONE
    if len(digits) >= CARD_DIGITS[0] and not YEARS_OR_TIMES.fullmatch(_spaced(run)):
        return RedactedKind.CARD  # whether or not its check digit is right: one digit may be misheard
    return None


def _is_called_number(speech: Speech, run: Run) -> bool:
    """Whether a number of the length of phone numbers, of no plan, has only the word `number` before it."""
    return "number" in speech.between(run.first - CALLED_BEFORE, run.first) and len(run.digits) in CALLED_DIGITS


def _is_phone(speech: Speech, run: Run) -> bool:
    if run.form == (3, 4) and len(run.groups) == 1:
        return True
    is_abroad = speech.tokens[run.first].text.startswith("+") or speech.between(run.first - 1, run.first) == ["plus"]
    digits = f"+{run.digits}" if is_abroad else run.digits
    return is_phone(f"+{digits[2:]}" if digits.startswith("00") else digits, speech.language(run.first))


def _are_times(speech: Speech, run: Run) -> bool:
    """Whether a number is times behind a word for that: `from nine thirty`, `between five and seven`."""
    if TIMES_BEFORE.isdisjoint(speech.between(run.first - 1, run.first)):
        return False
    are_hours = len(run.groups) <= MOST_HOURS and all(len(group.digits) <= HOUR_DIGITS for group in run.groups)
    return are_hours or YEARS_OR_TIMES.fullmatch(_spaced(run)) is not None


def _spaced(run: Run) -> str:
    return " ".join(group.digits for group in run.groups)


def _is_list(run: Run) -> bool:
    """Whether numbers go only up or only down: counting, chapters, draws. A number of a person rarely does."""
    values = [int(group.digits) for group in run.groups]
    steps = {(behind > before) - (behind < before) for before, behind in pairwise(values)}
    return len(values) >= SHORTEST_LIST and run.digits[0] != "0" and steps in ({1}, {-1})
