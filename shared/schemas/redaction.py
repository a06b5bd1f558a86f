"""The options of redaction: which kinds of personal data are removed from a transcript, and from a copy of audio."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec


class RedactedKind(StrEnum):
    """What can be redacted. When spans of two kinds overlap, the first kind of this list names both."""

    IBAN = "iban"
    CARD = "card"  # the number of a payment card, its security code and its expiry date
    SSN = "ssn"  # a social security number of the United States
    ACCOUNT = "account"  # a number that is called one of an account, a policy, a member …
    EMAIL = "email"
    IP = "ip"
    PHONE = "phone"
    DATE_OF_BIRTH = "date_of_birth"
    ADDRESS = "address"  # house number and street
    NAME = "name"  # of a person


ALL_KINDS = ", ".join(RedactedKind)
KINDS_FORM = f"one or more of {ALL_KINDS}, separated by commas"
MOST_CHARS = 100

RedactedKinds = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z_]{2,13}(?:,[a-z_]{2,13}){0,9}$(?!\n)",
        max_length=MOST_CHARS,
        description=KINDS_FORM,
    ),
]
AudioRedaction = Literal["none", "tone", "silence"]


def kinds_of(redact: str | None) -> tuple[str, ...]:
    """Return the kinds that the option names, each once."""
    return tuple(dict.fromkeys(redact.split(","))) if redact else ()


def check_redaction(redact: str | None, redact_audio: AudioRedaction, *, keep_original: bool) -> None:
    """Raise ValueError for an unknown kind, and for an option that has no effect without `redact`."""
    if redact is None:
        if redact_audio != "none":
            raise ValueError(f"`redact_audio` needs `redact`: {KINDS_FORM}")
        if keep_original:
            raise ValueError(f"`redact_keep_original` needs `redact`: {KINDS_FORM}")
    elif not frozenset(RedactedKind).issuperset(kinds_of(redact)):
        raise ValueError(f"`redact` must be {KINDS_FORM}")
