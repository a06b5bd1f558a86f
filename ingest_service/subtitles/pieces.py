"""Divide a segment into the pieces of lines, each with its time.

A piece is a word, or a character in scripts without spaces. The pieces contain the segment's text completely and in
order. The segment's words only give the times.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ingest_service.subtitles.display_width import display_width
from shared.schemas.transcript import Segment

# Thai to Lao, Burmese, Khmer, Chinese and Japanese; Korean has spaces.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
OPENS = "「『（［｛〈《【〔“‘\u0e40-\u0e44"  # noqa: RUF001 - belongs to the next character; includes Thai vowels
CLOSES = (  # never begins a line: punctuation, small kana, Thai marks
    "、。，．：；？！）］｝〉》」』】〕”’…‥・ー々ゝゞぁぃぅぇぉっゃゅょァィゥェォッャュョ%"  # noqa: RUF001 - these are meant
    "\u0e30-\u0e3a\u0e45-\u0e4e"
)
PIECES = re.compile(rf"[{OPENS}]*(?:[{UNSPACED}]|[^{UNSPACED}{OPENS}]+)[{CLOSES}]*|.")
CUE_ARROW = re.compile("-{2,}>")  # in a line, it would begin the next cue


class Piece(NamedTuple):
    """An undivided part of a line. Times are seconds."""

    text: str
    start_s: float
    end_s: float
    is_spaced: bool  # a space precedes it
    is_inside_word: bool  # it begins inside a word
    begins_segment: bool = False


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
    text = CUE_ARROW.sub("→", " ".join(segment.text.split()))
    spans = _spans(text, segment)
    pieces: list[Piece] = []
    number = 0
    for start, end in _cuts(text, widest):
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
        )
        pieces.append(piece)
    return pieces


def is_unspaced(character: str) -> bool:
    return re.match(f"[{UNSPACED}]", character) is not None


def _spans(text: str, segment: Segment) -> list[_Span]:
    """Return the words' places in the text. Text between words gets the time between them. Times never decrease."""
    spans: list[_Span] = []
    at, time_s = 0, segment.start
    for word in segment.words:
        needle = word.word.strip()
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


def _cuts(text: str, widest: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each piece."""
    for run in re.finditer(r"\S+", text):
        for piece in PIECES.finditer(run[0]):
            start = run.start() + piece.start()
            for length in _lengths(piece[0], widest):
                yield start, start + length
                start += length


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
