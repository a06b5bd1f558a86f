"""Write numbers with digits. Pure.

text2num finds numbers in words, in the languages that it knows. The words of a number become one word, from the start
of the first to the end of the last. What can be read in two ways stays as it was said.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from text_to_num import Occurence, Token, find_numbers

from shared.schemas.transcript import Segment, Transcript, Word
from shared.unspaced import joined_text

LANGUAGES = frozenset({"da", "de", "en", "es", "fr", "it", "nl", "pt"})
LEAST = 3.0  # a lone smaller number may be an article or a pronoun: it stays a word
SEPARATING_PAUSE_S = 0.5  # between two numbers
FIRST_OF_TWO_DIGITS = 10
MOST = 1_000_000  # from there on, people write words, too
SIGNS = ".,;:!?…\"'()[]«»„“”¿¡"  # around a word


class _Spoken(Token):  # type: ignore[misc] # the library has no types
    """A word as the library reads it: without the signs around it, and with the pause before it."""

    def __init__(self, word: Word) -> None:
        stripped = word.word.strip()
        self._bare = stripped.strip(SIGNS)
        at = stripped.find(self._bare)
        self.before, self.behind = stripped[:at], stripped[at + len(self._bare) :]
        self.word = word

    def text(self) -> str:
        """Return the word."""
        return self._bare

    def nt_separated(self, previous: "_Spoken") -> bool:
        """Whether no number goes on from the previous word."""
        is_paused = self.word.start - previous.word.end >= SEPARATING_PAUSE_S
        return bool(previous.behind or self.before) or is_paused or self.word.speaker != previous.word.speaker


class _Number(NamedTuple):
    """The words `start` … `end` - 1 as one."""

    start: int
    end: int
    word: Word


def normalized(transcript: Transcript) -> Transcript:
    """Return the transcript with digits, in the segments whose language is one of LANGUAGES."""
    segments = tuple(_segment(one, one.language or transcript.language) for one in transcript.segments)
    if segments == transcript.segments:
        return transcript
    return msgspec.structs.replace(transcript, segments=segments, text=joined_text(one.text for one in segments))


def _segment(segment: Segment, language: str | None) -> Segment:
    if language not in LANGUAGES:
        return segment
    words = segment.words or tuple(_untimed(segment))
    numbers = list(_numbers(words, language))
    if not numbers:
        return segment
    text = _with_numbers(segment.text, words, numbers)
    return msgspec.structs.replace(segment, text=text, words=tuple(_merged(words, numbers)) if segment.words else ())


def _untimed(segment: Segment) -> Iterator[Word]:
    for text in segment.text.split():
        yield Word(word=text, start=segment.start, end=segment.start, confidence=segment.confidence)


def _numbers(words: Sequence[Word], language: str) -> Iterator[_Number]:
    spoken = [_Spoken(word) for word in words]
    for row in _rows(find_numbers(spoken, language, LEAST), spoken):
        if len(row) > 1 and any(one.value >= FIRST_OF_TWO_DIGITS for one in row):
            continue  # "nineteen eighty-four" is a year, two numbers, or a time
        for one in row:
            if one.value >= MOST or (one.value in (100, 1000) and one.end - one.start == 1):
                continue  # "a million", "a hundred"
            first, last = words[one.start], words[one.end - 1]
            text = spoken[one.start].before + one.text + spoken[one.end - 1].behind
            confidence = min(word.confidence for word in words[one.start : one.end])
            yield _Number(
                one.start, one.end, msgspec.structs.replace(first, word=text, end=last.end, confidence=confidence)
            )


def _rows(found: Sequence[Occurence], spoken: Sequence[_Spoken]) -> Iterator[list[Occurence]]:
    """Yield numbers that follow each other without a word or a sign between them."""
    row: list[Occurence] = []
    for one in found:
        if row and (row[-1].end != one.start or spoken[one.start].nt_separated(spoken[one.start - 1])):
            yield row
            row = []
        row.append(one)
    if row:
        yield row


def _merged(words: Sequence[Word], numbers: Sequence[_Number]) -> Iterator[Word]:
    at = 0
    for number in numbers:
        yield from words[at : number.start]
        yield number.word
        at = number.end
    yield from words[at:]


def _with_numbers(text: str, words: Sequence[Word], numbers: Sequence[_Number]) -> str:
    """Return the text of a segment with the numbers in the places of their words. The rest stays as it is."""
    spans = list(_places(text, words))
    parts, at = [], 0
    for number in numbers:
        start, end = spans[number.start][0], spans[number.end - 1][1]
        parts += [text[at:start], number.word.word]
        at = end
    return "".join([*parts, text[at:]])


def _places(text: str, words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Yield where each word is in the text. A word that is not there has an empty place."""
    at = 0
    for word in words:
        needle = word.word.strip()
        found = text.find(needle, at)
        start = at if found < 0 else found
        at = start if found < 0 else start + len(needle)
        yield start, at
