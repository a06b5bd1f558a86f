"""Key terms that a recording may contain, and replacements of what the engine writes: of a job and of a tenant."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

MAX_TERMS = 1000
MAX_TERM_CHARS = 100
PROMPT_CHARS = 600  # of key terms and prompt: models read the last 224 tokens, names have about three characters each

# No blanks at the ends, no control characters: a line break would be two terms in a form.
WORDS_PATTERN = r"^[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$(?!\n)"
_WORDS_FORM = f"text of 1 to {MAX_TERM_CHARS} characters, without control characters or blanks at its ends"
Words = Annotated[str, msgspec.Meta(pattern=WORDS_PATTERN, max_length=MAX_TERM_CHARS, description=_WORDS_FORM)]
Terms = Annotated[
    tuple[Words, ...],
    msgspec.Meta(
        max_length=MAX_TERMS,
        description="Names, phrases and spellings to expect. In a form or a query: a JSON list, or one term a line.",
    ),
]
Replacements = Annotated[
    dict[Words, Words],
    msgspec.Meta(
        max_length=MAX_TERMS,
        description="What to write for words that are found. In a form or a query: a JSON object.",
    ),
]
FORMS = {
    "keyterms": f"a list of at most {MAX_TERMS} terms, or one term a line, each {_WORDS_FORM}",
    "replacements": f"a JSON object of at most {MAX_TERMS} words to find and what to write, each {_WORDS_FORM}",
}


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The key terms and replacements of a tenant."""

    keyterms: Terms = ()
    replacements: Replacements = {}

    def __bool__(self) -> bool:
        return bool(self.keyterms or self.replacements)


NO_VOCABULARY = Vocabulary()


def joined_terms(first: tuple[str, ...], then: tuple[str, ...]) -> tuple[str, ...]:
    """The terms of two lists, each once, the first list first; at most MAX_TERMS."""
    return tuple(dict.fromkeys((*first, *then)))[:MAX_TERMS]


def joined_replacements(first: Mapping[str, str], then: Mapping[str, str]) -> dict[str, str]:
    """The replacements of two maps, at most MAX_TERMS. What the first map finds, the second cannot change."""
    found = {find.casefold() for find in first}
    rest = {find: write for find, write in then.items() if find.casefold() not in found}
    return dict(list({**first, **rest}.items())[:MAX_TERMS])


def prompt_of(terms: Sequence[str], prompt: str | None, *, most_chars: int) -> str | None:
    """Terms before the client's prompt, as many as `most_chars` leaves."""
    given = (prompt or "").strip()
    left = most_chars - len(given)
    listed: list[str] = []
    for term in terms:
        left -= len(term) + 2
        if left < 0:
            break
        listed.append(term)
    return ". ".join(part for part in (", ".join(listed), given) if part) or None
