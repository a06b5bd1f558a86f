"""Divide a segment into the pieces of lines, each with its time.

A piece is a word, also in scripts without spaces. The pieces contain the segment's text completely and in order. The
segment's words give the times, and short ones are not divided.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from shared.schemas.transcript import Segment
from shared.subtitles.display_width import display_width
from shared.unspaced import divide_words, is_unspaced

REPLACEMENT = "\ufffd"  # stands for lost bytes, in results of old versions
SHORT_WORD_CHARS = 8
CUE_ARROW = re.compile("-{2,}>")  # in a line, it would begin the next cue


class Piece(NamedTuple):
    """An undivided part of a line. Times are seconds."""

    text: str
    start_s: float
    end_s: float
    is_spaced: bool  # a space precedes it
    is_inside_word: bool  # it begins inside a word
    begins_segment: bool = False
    language: str | None = None


class _Span(NamedTuple):
    """A range of characters and its time."""

    start: int
    end: int
    start_s: float
    end_s: float
    is_word: bool

    def time_s(self, position: int) -> float:
        return self.start_s + (self.end_s - self.start_s) * (position - self.start) / (self.end - self.start)


def pieces_of(segment: Segment, widest: int) -> list[Piece]:
    """Return the pieces of a segment, each at most `widest` columns. Without words, time is divided by length."""
    text = CUE_ARROW.sub("→", " ".join(segment.text.replace(REPLACEMENT, "").split()))
    spans = _spans(text, segment)
    pieces: list[Piece] = []
    number = 0
    for start, end in _cuts(text, spans, widest):
        while spans[number].end <= start:
            number += 1
        first = last = number
        while spans[last].end < end:
            last += 1
        piece = Piece(
            text=text[start:end],
            start_s=spans[first].time_s(max(start, spans[first].start)),
            end_s=spans[last].time_s(end),
            is_spaced=start == 0 or text[start - 1] == " ",
            is_inside_word=spans[first].is_word and spans[first].start < start and text[start - 1] != " ",
            begins_segment=start == 0,
            language=segment.language,
        )
        pieces.append(piece)
    return pieces


def _spans(text: str, segment: Segment) -> list[_Span]:
    """Return the words' places in the text. Text between words gets the time between them. Times never decrease."""
    spans: list[_Span] = []
    at, time_s = 0, segment.start
    for word in segment.words:
        needle = word.word.replace(REPLACEMENT, "").strip()
        found = text.find(needle, at) if needle else -1
        if found < 0:
            continue
        start_s = max(time_s, word.start)
        if text[at:found].strip():
            spans.append(_Span(at, found, time_s, start_s, is_word=False))
        at, time_s = found + len(needle), max(start_s, word.end)
        spans.append(_Span(found, at, start_s, time_s, is_word=True))
    if text[at:].strip():
        spans.append(_Span(at, len(text), time_s, max(time_s, segment.end), is_word=False))
    return spans


def _cuts(text: str, spans: Sequence[_Span], widest: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each piece."""
    starts = {end - len(word.lstrip()) for end, word in _with_ends(divide_words(text))}
    starts = starts - _inside_short_words(spans) | _between_words(text, spans)
    for start, following in pairwise([*sorted(starts), len(text)]):
        for length in _lengths(text[start:following].rstrip(), widest):
            yield start, start + length
            start += length  # noqa: PLW2901 - the next part of a word that is wider than a line


def _with_ends(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    return zip(accumulate(map(len, words)), words, strict=True)


def _inside_short_words(spans: Sequence[_Span]) -> set[int]:
    """Positions inside words of the transcript; longer ones may be whole sentences of a script without spaces."""
    short = [span for span in spans if span.is_word and span.end - span.start <= SHORT_WORD_CHARS]
    return {position for span in short for position in range(span.start + 1, span.end)}


def _between_words(text: str, spans: Sequence[_Span]) -> set[int]:
    """Starts of words of the transcript in scripts without spaces, between words that are more than characters."""
    return {
        after.start
        for before, after in pairwise(spans)
        if before.is_word
        and after.is_word
        and is_unspaced(text[after.start])
        and min(before.end - before.start, after.end - after.start) > 1
    }


def _lengths(text: str, widest: int) -> Sequence[int]:
    """Return the length of a text, or the lengths of its parts if it is wider than a line."""
    if display_width(text) <= widest:
        return [len(text)]
    lengths, width = [0], 0
    for character in text:
        width += display_width(character)
        if width > widest:
            lengths.append(0)
            width = display_width(character)
        lengths[-1] += 1
    return lengths
