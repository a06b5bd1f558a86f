"""Numbered lines of a transcript, as a chat provider reads them, and their division into parts. Pure.

A line is a paragraph: it ends where the speaker changes, at a pause, and when it is long. Its text can contain no tag,
no delimiter, no special token and no line number: the characters that form them are replaced.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shared.schemas.transcript import Segment, Transcript
from shared.unspaced import joined_text

PAUSE_S = 2.0
FULL_CHARS = 400  # about 30 s of speech: chapters begin where lines do
MOST_CHARS = 800  # of a segment; a longer one is divided
MOST_SPEAKER_CHARS = 60
ASCII_PER_TOKEN = 3.5  # of English; other scripts have up to one token a character
ROUND = str.maketrans("<>[]", "()()")  # these characters form tags, special tokens and numbers of lines
KEPT = frozenset("\u200c\u200d")  # join and separate letters of Persian and Indic scripts


class Line(NamedTuple):
    """One numbered line, with the time of its words in seconds."""

    number: int
    start_s: float
    end_s: float
    text: str

    @property
    def shown(self) -> str:
        return f"[{self.number}] {self.text}"


def lines_of(transcript: Transcript) -> tuple[Line, ...]:
    """Return the lines of a transcript, by start, numbered from 1."""
    spans = [span for group in _groups(transcript) for span in _spans(group)]
    return tuple(Line(number, *span) for number, span in enumerate(sorted(spans, key=lambda span: span[0]), start=1))


def _groups(transcript: Transcript) -> Iterator[list[Segment]]:
    """Yield the segments of each line; channels have lines of their own."""
    channels = sorted({one.channel for one in transcript.segments}, key=lambda channel: channel or 0)
    for channel in channels:
        group: list[Segment] = []
        for segment in transcript.segments:
            if segment.channel != channel or not segment.text.strip():
                continue
            if group and _ends_line(group, segment):
                yield group
                group = []
            group.append(segment)
        if group:
            yield group


def _ends_line(group: Sequence[Segment], following: Segment) -> bool:
    chars = sum(len(one.text) for one in group) + len(following.text)
    is_other = following.speaker != group[-1].speaker
    return is_other or following.start - group[-1].end >= PAUSE_S or chars > FULL_CHARS


def _spans(group: Sequence[Segment]) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and text; a segment that is too long for a line becomes several of its times."""
    start_s = min(_start_of(one) for one in group)
    end_s = max(start_s, *(_end_of(one) for one in group))
    speaker = harmless(group[0].speaker or "")[:MOST_SPEAKER_CHARS]
    text = harmless(joined_text(one.text for one in group))
    for at in range(0, len(text), MOST_CHARS):
        yield start_s, end_s, f"{speaker}: {text[at : at + MOST_CHARS]}" if speaker else text[at : at + MOST_CHARS]


def _start_of(segment: Segment) -> float:
    return segment.words[0].start if segment.words else segment.start


def _end_of(segment: Segment) -> float:
    return segment.words[-1].end if segment.words else segment.end


def harmless(text: str) -> str:
    """Return a text on one line, without invisible characters, tags, brackets and marks of special tokens."""
    is_visible = text.isprintable()
    visible = text if is_visible else "".join(sign if sign.isprintable() or sign in KEPT else " " for sign in text)
    return " ".join(visible.translate(ROUND).split())


def tokens_of(text: str) -> int:
    """Estimate the tokens of a text, rather too many."""
    others = len(text) - len(text.encode("ascii", "ignore"))
    return math.ceil((len(text) - others) / ASCII_PER_TOKEN) + others


def parts_of(lines: Sequence[Line], most_tokens: int) -> list[tuple[Line, ...]]:
    """Divide lines into consecutive parts of at most so many tokens, and of about equal size."""
    sizes = [tokens_of(line.shown) + 1 for line in lines]
    count = max(1, math.ceil(sum(sizes) / most_tokens))
    return _filled(lines, sizes, min(most_tokens, math.ceil(sum(sizes) / count) + max(sizes, default=0)))


def _filled(lines: Sequence[Line], sizes: Sequence[int], most_tokens: int) -> list[tuple[Line, ...]]:
    parts: list[list[Line]] = [[]]
    used = 0
    for line, size in zip(lines, sizes, strict=True):
        if parts[-1] and used + size > most_tokens:
            parts.append([])
            used = 0
        parts[-1].append(line)
        used += size
    return [tuple(part) for part in parts if part]
