"""Finds what has letters and digits: IBANs, e-mail addresses and IP addresses, as they are spelled or written."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from processor_service.redaction.digits import Group, Speech
from processor_service.redaction.names import first_names
from processor_service.redaction.tokens import Found, found, last_before
from processor_service.redaction.vocabulary import (
    AT_SIGNS,
    CONTEXTS,
    DASHES,
    DOTS,
    EMAIL_CUES,
    FILLERS,
    MAIL_HOSTS,
    NEAR_CUES,
    NOT_LOCAL_PARTS,
    TOP_NAMES,
    UNDERSCORES,
)
from shared.schemas.redaction import RedactedKind

EMAIL = re.compile(r"[^\s@]{0,64}@[^\s@]{0,255}")
DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,4}([a-z]{2,10})")
CUED_WORDS, NEAR_WORDS = 10, 6  # tokens between the cue of an e-mail address and its @
DOMAIN_WORDS = 8
NOT_LABELS = frozenset({"the", "a", "this", "that"})  # of a domain
CONNECTORS = DOTS | DASHES | UNDERSCORES | {"plus"}

IBAN = re.compile(r"([A-Z]{2})(\d{2})([A-Z0-9]{11,30})")
SHORTEST_IBAN, LONGEST_IBAN = 15, 34
LENGTHS = {
    "AD": 24, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24,
    "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip # by country
# One or two parts too many.
IP_MISHEARD = re.compile(r"(?:(?:1?\d?\d|2[0-4]\d|25[0-5])\.){4,5}(?:1?\d?\d|2[0-4]\d|25[0-5])", re.ASCII)
FEWEST_DIGITS, MOST_MISHEARD = 12, 3
NAMED_BEFORE = 25  # tokens


def find_emails(speech: Speech) -> Iterator[Found]:
    """Find addresses with a written `@`, and those with a spoken one before a domain."""
    done = 0
    cues, near = ([end for _, end, _ in speech.text.find(one)] for one in (EMAIL_CUES, NEAR_CUES))
    in_number = {at for group in speech.groups for at in range(group.first, group.end)}
    for at, token in enumerate(speech.tokens):
        if token.text in AT_SIGNS:
            end = _domain_end(speech, at + 1)
            first = _cued(speech, at, cues, near, in_number) if end else None
            if end and (first is None or first < done):
                first = _joined(speech, at, in_number)
                is_one_word = first == at - 1 and speech.tokens[at + 1].text.partition(".")[0] not in MAIL_HOSTS
                first = None if is_one_word and speech.tokens[first].text in NOT_LOCAL_PARTS else first
            if end and first is not None:
                yield found(RedactedKind.EMAIL, speech.tokens[first:end])
                done = end
        elif "@" in token.text and EMAIL.fullmatch(token.text):
            local, _, domain = token.text.partition("@")
            first = at if local else _joined(speech, at, in_number)
            done = _end_of_written(speech, at, domain)
            yield found(RedactedKind.EMAIL, speech.tokens[first:done])
    yield from _without_at(speech, cues, near)


def _without_at(speech: Speech, cues: Sequence[int], near: Sequence[int]) -> Iterator[Found]:
    """Find a written domain behind a cue: speech recognition writes `john.smith.example.com` if it misses the `at`.

    After `to` and `is`, only domains of mail, and not directly: `go to gmail.com`.
    """
    strong = frozenset(cues)
    for cued in sorted({*cues, *near}):
        for at in range(cued, min(cued + NEAR_WORDS, len(speech.tokens))):
            token = speech.tokens[at]
            domain = DOMAIN.fullmatch(token.text)
            is_mail = cued in strong or (at > cued and token.text.partition(".")[0] in MAIL_HOSTS)
            if domain and domain[1] in TOP_NAMES and is_mail:
                yield found(RedactedKind.EMAIL, speech.tokens[cued : at + 1])
            if domain or token.text in AT_SIGNS | NOT_LOCAL_PARTS or token.tail.startswith((".", "?", "!")):
                break


def _end_of_written(speech: Speech, at: int, domain: str) -> int:
    """Return where an address ends of which a token has the @ and the beginning of the domain, or all of it."""
    return at + 1 if DOMAIN.fullmatch(domain) else _domain_end(speech, at + 1) or at + 1


def _domain_end(speech: Speech, first: int) -> int | None:
    """Return where a domain ends that begins at a token: `gmail dot com`, `gmail.com`, `g m x dot d e`."""
    end, at, was_dot = None, first, False
    while at < min(first + DOMAIN_WORDS, len(speech.tokens)):
        token = speech.tokens[at]
        if token.text in AT_SIGNS:
            break
        written = DOMAIN.fullmatch(token.text)
        is_labelled = was_dot and at - 2 >= first and speech.tokens[at - 2].text not in NOT_LABELS
        signs = 1 if written and written[1] in TOP_NAMES else _top_name(speech, at) if is_labelled else 0
        at += signs or 1
        if signs:
            end = at
        elif end is not None and token.text not in DOTS:
            break
        if end == at and speech.tokens[at - 1].tail.startswith((".", "?", "!")):
            break
        was_dot = token.text in DOTS
    return end


def _top_name(speech: Speech, at: int) -> int:
    """Return how many tokens are a top-level domain, as a word or as letters; 0: none."""
    for count in (3, 2):
        letters = speech.between(at, at + count)
        if list(map(len, letters)) == [1] * count and "".join(letters) in TOP_NAMES:
            return count
    return int(speech.tokens[at].text in TOP_NAMES)


def _cued(speech: Speech, at: int, cues: Sequence[int], near: Sequence[int], in_number: set[int]) -> int | None:
    """Return where the part before the @ begins that follows a cue."""
    cued, closer = last_before(cues, at - 1, CUED_WORDS), last_before(near, at - 1, NEAR_WORDS)
    if cued is not None:
        return max(cued, closer or 0)
    if closer is None or NOT_LOCAL_PARTS.intersection(speech.between(closer, at)):
        return None
    is_spelled = any(one in in_number or len(speech.tokens[one].text) == 1 for one in range(closer, at))
    is_host = speech.tokens[at + 1].text.partition(".")[0] in MAIL_HOSTS
    return closer if is_host or is_spelled or CONNECTORS.intersection(speech.between(closer, at)) else None


def _joined(speech: Speech, at: int, in_number: set[int]) -> int:
    """Return where the part before the @ begins: with the word before it, and all that connectors join to it."""
    first = max(0, at - 1)
    while first and (_joins(speech, first, in_number) or speech.tokens[first - 1].text in first_names()):
        first -= 1
    return first


def _joins(speech: Speech, first: int, in_number: set[int]) -> bool:
    """Whether the token before `first` belongs to the same local part: by a connector, or as letters and digits."""
    before, here = speech.tokens[first - 1].text, speech.tokens[first].text
    if before in CONNECTORS or here in CONNECTORS:
        return True
    is_spelled = len(before) == 1 and before.isalpha() and (before not in {"a", "i"} or len(here) == 1)
    return (first in in_number or len(here) == 1) and (
        first - 1 in in_number or is_spelled or (first > 1 and speech.tokens[first - 2].text in CONNECTORS)
    )


def find_ip_addresses(speech: Speech) -> Iterator[Found]:
    """Find IPv4 addresses as four numbers with dots, or after `IP address`; and written IPv6 addresses."""
    for token in speech.tokens:
        if _is_ip(token.text):
            yield found(RedactedKind.IP, [token])
    named = [end for _, end, _ in speech.text.find(CONTEXTS["ip"])]
    done = None
    for run in speech.runs:
        parts = _between_dots(speech, run.groups)
        name = last_before(named, run.first, NAMED_BEFORE)
        if name not in {None, done} and len(parts) == 1:
            parts = [[group] for group in run.groups]
        numbers = ["".join(group.digits for group in part) for part in parts]
        if _is_ip(".".join(number.lstrip("0") or "0" for number in numbers)):
            yield found(RedactedKind.IP, speech.tokens[run.first : run.end])
            done = name  # it stands for one address


def _is_ip(text: str) -> bool:
    if IP_MISHEARD.fullmatch(text):
        return True
    if text.count(".") != 3 and text.count(":") < 2:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _between_dots(speech: Speech, groups: Sequence[Group]) -> list[list[Group]]:
    """Divide groups of digits where `dot` is between them."""
    parts: list[list[Group]] = [[groups[0]]]
    for group in groups[1:]:
        if DOTS.intersection(speech.between(parts[-1][-1].end, group.first)):
            parts.append([group])
        else:
            parts[-1].append(group)
    return parts


class _Atom(NamedTuple):
    """Letters or digits that may be a part of an IBAN: the tokens `first` … `end` - 1."""

    first: int
    end: int
    text: str


def find_ibans(speech: Speech) -> Iterator[Found]:
    """Find IBANs whose check digits are right; after the word, also others."""
    named = [end for _, end, _ in speech.text.find(CONTEXTS["iban"])]
    for row in _rows(speech):
        at = 0
        while at < len(row):
            is_named = last_before(named, row[at].first, NAMED_BEFORE) is not None
            if count := _iban_atoms(row[at : at + LONGEST_IBAN], is_named=is_named):
                yield found(RedactedKind.IBAN, speech.tokens[row[at].first : row[at + count - 1].end])
            at += count or 1


def _rows(speech: Speech) -> Iterator[list[_Atom]]:
    """Yield letters and digits that follow each other."""
    groups = {group.first: group for group in speech.groups}
    row: list[_Atom] = []
    at = 0
    while at < len(speech.tokens):
        atom = _atom(speech, at, groups.get(at))
        if atom:
            row.append(atom)
        elif speech.tokens[at].text not in FILLERS | DASHES and row:
            yield row
            row = []
        at = atom.end if atom else at + 1
    if row:
        yield row


def _atom(speech: Speech, at: int, group: Group | None) -> _Atom | None:
    if group:
        return _Atom(at, group.end, group.digits)
    token = speech.tokens[at]
    is_code = token.text.isascii() and token.text.isalnum()
    is_letters = len(token.text) == 1 or (len(token.text) <= 4 and token.raw.isupper())
    if is_code and (is_letters or any(sign.isdecimal() for sign in token.text)):
        return _Atom(at, at + 1, token.text.upper())
    return None


def _iban_atoms(row: Sequence[_Atom], *, is_named: bool) -> int:
    """Return how many atoms from the first on are an IBAN; 0: none."""
    text = ""
    for count, atom in enumerate(row, 1):
        text += atom.text
        if len(text) > LONGEST_IBAN:
            break
        if len(text) == LENGTHS.get(text[:2]) and IBAN.fullmatch(text) and _is_checked(text):
            return count
    if (is_named or _is_nearly(text)) and IBAN.match(text):
        return sum(1 for _ in _up_to(row, LENGTHS.get(text[:2], LONGEST_IBAN) + 2))
    return 0


def _is_nearly(text: str) -> bool:
    """Whether letters and digits are an IBAN of which a few were misheard."""
    digits = sum(sign.isdecimal() for sign in text)
    return abs(len(text) - LENGTHS.get(text[:2], 0)) <= MOST_MISHEARD and digits >= FEWEST_DIGITS


def _up_to(row: Sequence[_Atom], most_signs: int) -> Iterator[_Atom]:
    signs = 0
    for atom in row:
        signs += len(atom.text)
        if signs > most_signs:
            return
        yield atom


def _is_checked(iban: str) -> bool:
    """Whether the check digits are right (ISO 7064, modulus 97)."""
    return int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1
