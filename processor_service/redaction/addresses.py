"""Finds addresses in English: a house number, up to four words, and a word for a street; then the rest of its sentence.

Addresses of other languages are not found.
"""

import re
from collections.abc import Iterator

from processor_service.redaction.digits import Group, Speech
from processor_service.redaction.tokens import Found, found
from processor_service.redaction.vocabulary import STREETS
from shared.schemas.redaction import RedactedKind

NAME_WORDS = 4  # of a street, before the word for it
UNIT = re.compile(r"(?:apartment|apt|suite|unit|flat|floor|room|number)")
NOT_A_STREET = frozenset(
    "the a an of to in on for my your this that is was and or per percent dollars minutes hours days".split()
)


def find_addresses(speech: Speech) -> Iterator[Found]:
    """Find addresses with a house number."""
    ends = {group.end: group for group in speech.groups}
    done = 0
    for first, end, _ in speech.text.find(STREETS):
        if first >= done and (number := _house_number(speech, first, ends)):
            done = _with_town(speech, end)
            yield found(RedactedKind.ADDRESS, speech.tokens[number.first : done])


def _house_number(speech: Speech, street: int, ends: dict[int, Group]) -> Group | None:
    """Return the digits before the name of a street."""
    for at in range(street - 1, max(-1, street - 1 - NAME_WORDS), -1):
        token = speech.tokens[at]
        if token.text in NOT_A_STREET:
            return None
        if at in ends:
            return _first_group(at, ends)
    return None


def _first_group(end: int, ends: dict[int, Group]) -> Group:
    group = ends[end]
    while group.first in ends and len(group.digits) < 6:
        group = ends[group.first]
    return group


def _with_town(speech: Speech, end: int) -> int:
    """Return where the address ends: with a flat, a town in capitals, and its code, in the same sentence."""
    starts = {group.first: group for group in speech.groups_in(end, end + 8)}
    at = end
    while at < min(end + 8, len(speech.tokens)) and not speech.tokens[at - 1].tail.startswith((".", "?", "!")):
        token = speech.tokens[at]
        if at in starts:
            at = starts[at].end
        elif UNIT.fullmatch(token.text) or (token.raw[:1].isupper() and token.raw not in {"I", "I'm"}):
            at += 1
        else:
            break
    return at
