"""Finds dates of birth: the first date after what announces one."""

import re
from collections.abc import Iterator

from processor_service.redaction.digits import Speech
from processor_service.redaction.tokens import Found, found
from processor_service.redaction.vocabulary import BORN, FILLERS, IN_DATES, MONTH_NAMES, ORDINALS
from shared.schemas.redaction import RedactedKind

ANNOUNCED_BEFORE = 14  # tokens
WRITTEN = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}|\d{1,2}(?:st|nd|rd|th|er|º|ª|o)", re.ASCII)
LONGEST_DATE = 14  # tokens
FEWEST_DIGITS = 4  # of a date that is only digits; fewer are an age or a day alone


def find_dates_of_birth(speech: Speech) -> Iterator[Found]:
    """Find the first date after each announcement."""
    in_number = {at for group in speech.groups for at in range(group.first, group.end)}
    for _, announced, _ in speech.text.find(BORN):
        at, last = announced, min(announced + ANNOUNCED_BEFORE, len(speech.tokens))
        while at < last:
            end = _end(speech, at, in_number) if _is_part(speech.tokens[at].text, at, in_number) else at
            if end > at and _is_date(speech, at, end):
                yield found(RedactedKind.DATE_OF_BIRTH, speech.tokens[at:end])
                break
            at = max(end, at + 1)


def _is_part(text: str, at: int, in_number: set[int]) -> bool:
    return at in in_number or text in MONTH_NAMES or text in ORDINALS or WRITTEN.fullmatch(text) is not None


def _end(speech: Speech, first: int, in_number: set[int]) -> int:
    """Return where the parts of a date end, with the short words between them."""
    end = first + 1
    for at in range(first + 1, min(first + LONGEST_DATE, len(speech.tokens))):
        text = speech.tokens[at].text
        if speech.tokens[at - 1].tail.startswith((".", "?", "!")) and _is_date(speech, first, end):
            break
        if _is_part(text, at, in_number):
            end = at + 1
        elif text not in IN_DATES and text not in FILLERS and text != "oh":
            break
    return end


def _is_date(speech: Speech, first: int, end: int) -> bool:
    texts = speech.between(first, end)
    if MONTH_NAMES.intersection(texts) or any(WRITTEN.fullmatch(text) for text in texts):
        return len(texts) > 1 or not MONTH_NAMES.issuperset(texts)
    return sum(len(group.digits) for group in speech.groups_in(first, end)) >= FEWEST_DIGITS
