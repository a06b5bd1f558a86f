"""How bad it is to end a line or a cue between two pieces: 0 at the end of a sentence, most inside a word."""

from ingest_service.subtitles.phrase_words import ABBREVIATIONS, BINDING, CONJUNCTIONS, words_for
from ingest_service.subtitles.pieces import Piece

SENTENCE_SIGNS = (".", "?", "!", "…", "。", "？", "！", "।", "؟")  # noqa: RUF001 - full-width and others are meant
CLAUSE_SIGNS = (",", ";", ":", "—", "–", "，", "、", "；", "：", "،")  # noqa: RUF001 - as above
QUOTES = "\"'”’»)]」』）"  # noqa: RUF001 - may follow the sign that ends a sentence
PAUSE_S = 0.3  # is heard as the end of a phrase

SENTENCE, CLAUSE, SEGMENT, CONJUNCTION, ELSEWHERE, BOUND, INSIDE_WORD = 0.0, 1.0, 1.5, 2.0, 3.5, 5.0, 9.0


class BreakCosts:
    """The costs in one language."""

    def __init__(self, language: str | None) -> None:
        self._conjunctions = words_for(CONJUNCTIONS, language)
        self._binding = words_for(BINDING, language)

    def between(self, before: Piece, after: Piece) -> float:
        """The cost of a break there."""
        if ends_sentence(before):
            return SENTENCE
        if before.text.rstrip(QUOTES).endswith(CLAUSE_SIGNS) or after.start_s - before.end_s >= PAUSE_S:
            return CLAUSE
        if after.is_inside_word:
            return INSIDE_WORD
        return SEGMENT if after.begins_segment else self._of_words(before.text.lower(), after.text.lower())

    def _of_words(self, before: str, after: str) -> float:
        if before in self._binding:
            return BOUND
        return CONJUNCTION if after in self._conjunctions else ELSEWHERE


def ends_sentence(piece: Piece) -> bool:
    bare = piece.text.rstrip(QUOTES)
    return bare.endswith(SENTENCE_SIGNS) and bare.lower() not in ABBREVIATIONS
