"""Divides a transcript into the tokens that recognizers read: words in small letters, without the signs around them.

Numbers, addresses and names go over words, segments, pauses and turns. So tokens are those of the whole transcript.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from shared.schemas.transcript import Segment, Transcript, Word

SIGNS = ".,;:!?…\"'()[]{}<>«»„“”‘’¿¡*#`、。，！？：；"  # noqa: RUF001 - full-width signs, around a word
ENDS_SENTENCE = frozenset(".!?…。！？")  # noqa: RUF001 - full-width signs
WRITTEN = re.compile(r"[+\d][\d().,/:+-]*|\S*[@:/]\S*|[^\W\d]+(?:[.][\w-]+)+")  # stays one token despite its signs
JOINED = re.compile(r"[.@_]\w")
GLUED = re.compile(r"(?<=[^\W\d])(?=\d{3,}(?!\w))")  # `MAM4419`: a hesitation that is written as one with digits
AS_IN = frozenset({"as in", "like in", "as", "for", "like", "wie", "comme", "come", "como", "van"})


class Unit(NamedTuple):
    """A word with its place: number `at` of a segment. Without times of words, a word has those of its segment."""

    word: Word
    segment: int
    at: int
    language: str | None
    is_joined: bool = False  # to the word before it: speech recognition writes `gmail` and `.com`


class Token(NamedTuple):
    """A word, or a part of one that is written with hyphens. `unit`, `last_unit`: the numbers of its words."""

    text: str
    raw: str  # with its capitals
    tail: str  # the signs behind it
    unit: int
    last_unit: int


def has_all_words(segment: Segment) -> bool:
    """Whether a segment has words, and all of its text is in them. Those of a provider may lack some."""
    return bool(segment.words) and _signs(segment.text) == _signs("".join(word.word for word in segment.words))


def _signs(text: str) -> str:
    return "".join(sign for sign in text if sign.isalnum())


def words_of(segment: Segment) -> Sequence[Word]:
    """Return the words of a segment; if it lacks some, what is between its spaces, with the times of the segment."""
    if has_all_words(segment):
        return segment.words
    texts = segment.text.split()
    return [
        Word(word=text, start=segment.start, end=segment.end, confidence=segment.confidence, speaker=segment.speaker)
        for text in texts
    ]


def units_of(transcript: Transcript) -> list[Unit]:
    """Return all words in order."""
    return [
        Unit(word, number, at, segment.language or transcript.language, is_joined=is_joined)
        for number, segment in enumerate(transcript.segments)
        for at, (word, is_joined) in enumerate(_with_joins(segment))
    ]


def _with_joins(segment: Segment) -> Iterator[tuple[Word, bool]]:
    """Yield words, each with whether the text joins it to the word before it by a dot, an @ or an underscore."""
    at, before = 0, ""
    for word in words_of(segment):
        text = word.word.strip()
        start = segment.text.find(text, at)
        has_no_space = start == at > 0
        yield word, has_no_space and (JOINED.match(text) is not None or before.endswith("@"))
        at, before = at if start < 0 else start + len(text), text


def tokens_of(units: Sequence[Unit]) -> list[Token]:
    """Return the tokens of all words, without the explanations of letters: `as in alpha`."""
    firsts = [number for number, unit in enumerate(units) if not unit.is_joined]
    spans = pairwise([*firsts, len(units)])
    return _without_explanations([token for first, end in spans for token in _of_words(units, first, end)])


def _of_words(units: Sequence[Unit], first: int, end: int) -> Iterator[Token]:
    """Yield the tokens of words that are joined; most often, of one word."""
    stripped = "".join(unit.word.word.strip() for unit in units[first:end])
    behind = stripped.rstrip(SIGNS)
    raw, tail = behind.lstrip(SIGNS), stripped[len(behind) :]
    parts = [raw] if WRITTEN.fullmatch(raw) else [part for part in GLUED.sub("-", raw).split("-") if part]
    for part in parts:
        yield Token(part.lower(), part, tail if part is parts[-1] else "", first, end - 1)


def _without_explanations(tokens: Sequence[Token]) -> list[Token]:
    """Leave out what explains a letter, if it begins with it: `B as in bravo` is `B`."""
    kept: list[Token] = []
    at = 0
    while at < len(tokens):
        kept.append(tokens[at])
        at += 1 + _explained(tokens, at)
    return kept


def _explained(tokens: Sequence[Token], at: int) -> int:
    """Return how many tokens explain the letter at a place."""
    letter = tokens[at].text
    if len(letter) == 1 and letter.isalpha():
        for length in (2, 1):
            phrase = " ".join(token.text for token in tokens[at + 1 : at + 1 + length])
            example = at + 1 + length
            if phrase in AS_IN and example < len(tokens) and tokens[example].text.startswith(letter):
                return length + 1
    return 0


class Text:
    """The tokens as one text, in which patterns over several words are searched."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.text = " ".join(token.text for token in tokens)
        self._starts: dict[int, int] = {}
        at = 0
        for number, token in enumerate(tokens):
            self._starts[at] = number
            at += len(token.text) + 1

    def find(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, int, re.Match[str]]]:
        """Yield the first token and the one after the last of each match that begins at a token."""
        for match in pattern.finditer(self.text):
            if (first := self._starts.get(match.start())) is not None:
                yield first, first + match[0].count(" ") + 1, match


def last_before(places: Sequence[int], at: int, within: int) -> int | None:
    """Return the last of ordered places that is at most `within` before a place, or at it."""
    number = bisect_right(places, at)
    return places[number - 1] if number and at - places[number - 1] <= within else None


class Found(NamedTuple):
    """Words to redact: some of the numbers `units`, which need not follow each other."""

    kind: str
    units: tuple[int, ...]


def found(kind: str, tokens: Sequence[Token]) -> Found:
    """Return the words of some tokens."""
    units = (unit for token in tokens for unit in range(token.unit, token.last_unit + 1))
    return Found(kind, tuple(dict.fromkeys(units)))
