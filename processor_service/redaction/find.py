"""All recognizers: which words of a transcript hold personal data of the kinds that a job names."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from processor_service.redaction.addresses import find_addresses
from processor_service.redaction.dates import find_dates_of_birth
from processor_service.redaction.digits import Speech, read_speech
from processor_service.redaction.letters import find_emails, find_ibans, find_ip_addresses
from processor_service.redaction.names import find_names
from processor_service.redaction.numbers import find_numbers
from processor_service.redaction.tokens import Found, Unit, tokens_of
from shared.schemas.redaction import RedactedKind

RANKS = {str(kind): rank for rank, kind in enumerate(RedactedKind)}
FINDERS: dict[Callable[[Speech], Iterable[Found]], frozenset[str]] = {
    find_numbers: frozenset({RedactedKind.CARD, RedactedKind.SSN, RedactedKind.ACCOUNT, RedactedKind.PHONE}),
    find_ibans: frozenset({RedactedKind.IBAN}),
    find_emails: frozenset({RedactedKind.EMAIL}),
    find_ip_addresses: frozenset({RedactedKind.IP}),
    find_dates_of_birth: frozenset({RedactedKind.DATE_OF_BIRTH}),
    find_addresses: frozenset({RedactedKind.ADDRESS}),
    find_names: frozenset({RedactedKind.NAME}),
}


def find_personal_data(units: Sequence[Unit], kinds: Iterable[str]) -> dict[int, str]:
    """Return the kind of each word to redact, by its number. The first kind of RedactedKind counts."""
    speech, wanted = read_speech(units, tokens_of(units)), frozenset(kinds)
    kind_of: dict[int, str] = {}
    for one in _all(speech, wanted):
        for number in _without_gaps(units, one):
            kind_of[number] = min(kind_of.get(number, one.kind), one.kind, key=RANKS.__getitem__)
    return kind_of


def _all(speech: Speech, wanted: frozenset[str]) -> Iterator[Found]:
    for find, kinds in FINDERS.items():
        if kinds & wanted:
            yield from (one for one in find(speech) if one.kind in wanted)


def _without_gaps(units: Sequence[Unit], one: Found) -> Iterator[int]:
    """Yield the words, with those between them in the same segment. The other segments between them stay."""
    spans: dict[int, tuple[int, int]] = {}
    for number in one.units:
        segment = units[number].segment
        first, _ = spans.get(segment, (number, number))
        spans[segment] = first, number
    for first, last in spans.values():
        yield from range(first, last + 1)
