"""Where sentences end: rules on punctuation, for the languages that have it. Pure."""

from collections.abc import Iterator, Sequence

from shared.subtitles.lines import ABBREVIATIONS, QUOTES, SENTENCE_SIGNS
from shared.subtitles.pieces import Piece

# Languages that write ordinal numbers with a point.
ORDINALS = frozenset(
    {"de", "da", "no", "nn", "fi", "is", "et", "cs", "sk", "pl", "hu", "hr", "sl", "sr", "bs", "lv", "tr"}
)
UNPUNCTUATED = frozenset("th lo km my".split())  # segments are their sentences
CLOSING = QUOTES + "".join(sorted(SENTENCE_SIGNS))  # they belong to the sentence before, also behind a space
PAUSE_S = 2.0  # ends a sentence without punctuation, and a paragraph


def divide_sentences(pieces: Sequence[Piece], language: str | None) -> Iterator[Sequence[Piece]]:
    """Yield the pieces of each sentence. Every piece is in one sentence."""
    start = 0
    for end in range(1, len(pieces) + 1):
        if end == len(pieces) or _ends_before(pieces, end, language):
            yield pieces[start:end]
            start = end


def _ends_before(pieces: Sequence[Piece], number: int, language: str | None) -> bool:
    before, after = pieces[number - 1], pieces[number]
    language = before.language or language
    if after.start_s - before.end_s >= PAUSE_S or (after.begins_segment and language in UNPUNCTUATED):
        return True
    bare = before.text.rstrip(QUOTES) or (pieces[number - 2].text if number > 1 else "")
    if after.is_inside_word or bare[-1:] not in SENTENCE_SIGNS or not after.text.strip(CLOSING):
        return False
    if bare.endswith((".", "…")):
        return not _goes_on(after.text) and not (bare.endswith(".") and is_abbreviation(bare, language))
    return not _goes_on(after.text) or not after.is_spaced


def _goes_on(text: str) -> bool:
    """Whether a text begins in lower case, as no sentence does."""
    return next((sign.islower() for sign in text if sign.isalpha() or sign.isdigit()), False)


def is_abbreviation(word: str, language: str | None) -> bool:
    """Whether a word with a point at its end is an abbreviation, an initial, or an ordinal number of the language."""
    bare = word.lstrip("\"'([«„“‘").lower()  # noqa: RUF001 - quotes
    if bare in ABBREVIATIONS:
        return True
    if bare[:-1].isdigit():
        return language in ORDINALS
    letters = bare.split(".")[:-1]
    return bool(letters) and all(len(part) == 1 and part.isalpha() and part != "i" for part in letters)
