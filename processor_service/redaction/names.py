"""Finds names of persons: after what announces one, by known first names, and where a name is repeated.

The first names are those of Faker, for the languages below. Other names are found only if something announces them.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module

from processor_service.redaction.digits import Speech
from processor_service.redaction.tokens import Found, Token, found, last_before
from processor_service.redaction.vocabulary import MONTH_NAMES, NAME_CUES, NAME_TAILS, SELF_CUES
from shared.schemas.redaction import RedactedKind

LOCALES = (
    "en_US en_GB en_IN en_KE en_NG en_PK de_DE fr_FR es_ES es_MX it_IT pt_PT pt_BR nl_NL da_DK sv_SE pl_PL"
).split()
LONGEST_NAME = 4  # tokens
SHORTEST_SPELLING, LONGEST_SPELLING = 3, 24  # letters
BEFORE_SPELLING = 3  # tokens between a name and its letters: `that's spelled`
# First names that are also words: they count only before a family name, or if something announces them.
WORDS = frozenset(
    "amber angel art autumn bill bob brook brooke candy carol chance chase christian crystal daisy dale dawn dean "
    "destiny dick drew earl faith frank gene glen grace grant guy hope hunter jack jean jo joy junior lance lane "
    "laurel major mark mason may mercy melody miles misty my nick norm pat pearl penny price ray rich rob robin rock "
    "rod rose ruby rusty sandy savannah sky sterling sue summer terry tony tracy trey victor violet wade will wood don "
    "do en ter van de la le max sam so an ana era mar sol paz cruz angela paris london georgia virginia austin dakota "
    "jordan houston madison carolina florence sofia victoria lincoln jackson washington israel san santiago luna rock "
    "berg christ jesus roman del edit else harm job line lone luz man per said sem comfort dev diamond fancy floor "
    "forum innocent lot love patience kick meta peer purity sine sole till nail".split()
)
LINKS = frozenset("van de der den del della di da dos von zu la le mc mac o'".split())
STOPS = frozenset(
    "i i'm i'll i've i'd a an the and or but so is it this that yes no ok okay hi hello hey thanks thank please sorry "
    "not my your his her you we he she they what how when where who why can could would will do did in on at of for "
    "with from to mr mrs ms miss dr".split()
)


def find_names(speech: Speech) -> Iterator[Found]:
    """Find names, and then every word that is a part of one."""
    spans = [*_announced(speech), *_known(speech)]
    spans += list(_spelled(speech.tokens, spans))
    for first, end in spans:
        yield found(RedactedKind.NAME, speech.tokens[first:end])
    parts = {token.text.removesuffix("'s") for first, end in spans for token in speech.tokens[first:end]}
    parts -= LINKS | STOPS | WORDS
    for token in speech.tokens:
        if token.raw[:1].isupper() and len(token.text) > 2 and token.text.removesuffix("'s") in parts:
            yield found(RedactedKind.NAME, [token])


def _announced(speech: Speech) -> Iterator[tuple[int, int]]:
    """Yield the capitalized words, or the letters, behind an announcement; and those before `speaking`."""
    for _, cued, match in speech.text.find(NAME_CUES):
        if (end := _name_end(speech.tokens, cued)) or (
            "name" in match[0] and (end := _spelled_end(speech.tokens, cued))
        ):
            yield cued, end
    for tail, _, _ in speech.text.find(NAME_TAILS):
        if (first := _name_start(speech.tokens, tail)) < tail:
            yield first, tail


def _known(speech: Speech) -> Iterator[tuple[int, int]]:
    """Yield known first names with the capitalized words behind them."""
    cues = [end for _, end, _ in speech.text.find(SELF_CUES)]
    done = 0
    for at, token in enumerate(speech.tokens):
        if at < done or not _is_name(token) or token.text.removesuffix("'s") not in first_names():
            continue
        end = _name_end(speech.tokens, at) or at + 1
        is_cued = last_before(cues, at, 0) is not None
        if token.text not in WORDS or end > at + 1 or is_cued:
            yield at, end
            done = end


def _spelled(tokens: Sequence[Token], names: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield letters that spell a part of any name, and those soon behind a name that begin as a part of it does."""
    parts = {token.text for first, end in names for token in tokens[first:end]}
    initials = {
        (at, token.text[0])
        for first, end in names
        for token in tokens[first:end]
        for at in range(end, end + BEFORE_SPELLING + 1)
    }
    at = 0
    while at < len(tokens):
        end = _spelled_end(tokens, at) or at
        is_long = end - at >= SHORTEST_SPELLING
        if is_long and ((at, tokens[at].text) in initials or "".join(token.text for token in tokens[at:end]) in parts):
            yield at, end
        at = max(end, at + 1)


def _name_end(tokens: Sequence[Token], first: int) -> int | None:
    """Return where the capitalized words from `first` on end; None: there are none."""
    end = None
    for at in range(first, min(first + LONGEST_NAME, len(tokens))):
        token = tokens[at]
        if _is_name(token):
            end = at + 1
        elif token.text not in LINKS:
            break
        if token.tail:
            break
    return end


def _name_start(tokens: Sequence[Token], end: int) -> int:
    first = end
    while first > max(0, end - LONGEST_NAME) and _is_name(tokens[first - 1]):
        first -= 1
        if first and tokens[first - 1].tail:
            break
    return first


def _spelled_end(tokens: Sequence[Token], first: int) -> int | None:
    """Return where letters end that are spelled one by one."""
    at = first
    while at < min(first + LONGEST_SPELLING, len(tokens)) and len(tokens[at].text) == 1 and tokens[at].text.isalpha():
        at += 1
    return at if at - first > 1 else None


def _is_name(token: Token) -> bool:
    is_word = token.text in STOPS or token.text in MONTH_NAMES or len(token.text) == 1
    return token.raw[:1].isupper() and token.raw.replace("'", "").isalpha() and not is_word


@cache
def first_names() -> frozenset[str]:
    """Return the first names of all locales, in small letters."""
    providers = [import_module(f"faker.providers.person.{locale}").Provider for locale in LOCALES]
    return frozenset(name.lower() for one in providers for name in one.first_names if name.isalpha())
