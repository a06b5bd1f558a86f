"""Write other words in a transcript: whole words and phrases are found, in any case, and keep their times. Pure.

Found in each segment by itself. In scripts without spaces any part of the text is found.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from statistics import fmean
from typing import NamedTuple

import msgspec

from shared.schemas.transcript import Segment, Transcript, Word
from shared.unspaced import UNSPACED, divide_words, is_unspaced, joined_text

_LETTER = rf"[^\W{UNSPACED}]"  # of scripts with spaces between words
_UNIT = re.compile(rf"{_LETTER}+|\S")  # a word, or a character of any other kind


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    write: str


class _Found(NamedTuple):
    start: int
    end: int
    write: str


class Replacements:
    """Replacements, looked up by the first word of what they find: a thousand cost as little as one."""

    def __init__(self, replacements: Mapping[str, str]) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        for find, write in sorted(replacements.items(), key=lambda one: -len(one[0])):  # the longest is found first
            first = _UNIT.search(find)
            if first:  # not if it is of blanks only
                self._rules.setdefault(first[0].casefold(), []).append(_Rule(_pattern(find), write))

    def of_transcript(self, transcript: Transcript) -> Transcript:
        """The transcript with other words."""
        segments = self.of_segments(transcript.segments)
        if segments == transcript.segments:
            return transcript
        text = joined_text(segment.text for segment in segments)
        return msgspec.structs.replace(transcript, text=text, segments=segments)

    def of_segments(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        """The segments, as many as before, with other words."""
        return tuple(map(self._of_segment, segments)) if self._rules else tuple(segments)

    def _of_segment(self, segment: Segment) -> Segment:
        text = self.of_text(segment.text)
        if text == segment.text:
            return segment
        return msgspec.structs.replace(segment, text=text, words=self._of_words(segment))

    def of_text(self, text: str) -> str:
        """A text with other words."""
        parts, at = [], 0
        for found in self._find(text):
            parts += [text[at : found.start], found.write]
            at = found.end
        return "".join([*parts, text[at:]])

    def _find(self, text: str) -> Iterator[_Found]:
        """What is found, from left to right, without overlaps."""
        end = 0
        for unit in _UNIT.finditer(text):
            for rule in self._rules.get(unit[0].casefold(), ()):
                match = rule.pattern.match(text, unit.start()) if unit.start() >= end else None
                if match:
                    end = match.end()
                    yield _Found(match.start(), end, _in_case_of(match[0], rule.write))
                    break

    def _of_words(self, segment: Segment) -> tuple[Word, ...]:
        line, starts = _line(segment)
        words: list[Word] = []
        done = 0
        for first, end, text in self._touched(line, starts):
            words += [*segment.words[done:first], *_divided(segment.words[first:end], text)]
            done = end
        return (*words, *segment.words[done:])

    def _touched(self, line: str, starts: Sequence[int]) -> Iterator[tuple[int, int, str]]:
        """The words that hold something found, as first, end and new text; matches that share a word together."""
        groups: list[tuple[int, int, list[_Found]]] = []
        for found in self._find(line):
            first, end = bisect_right(starts, found.start) - 1, bisect_right(starts, found.end - 1)
            if groups and first < groups[-1][1]:
                groups[-1] = (groups[-1][0], max(end, groups[-1][1]), [*groups[-1][2], found])
            else:
                groups.append((first, end, [found]))
        for first, end, some in groups:
            at, parts = starts[first], []
            for found in some:
                parts += [line[at : found.start], found.write]
                at = found.end
            yield first, end, "".join([*parts, line[at : starts[end] if end < len(starts) else len(line)]])


def _pattern(find: str) -> re.Pattern[str]:
    """Whole words, with any blanks between them. A character of a script without spaces needs no edge beside it."""
    body = r"\s+".join(re.escape(word) for word in find.split())
    before = rf"(?<!{_LETTER})" if _is_edge(find[0]) else ""
    after = rf"(?!{_LETTER})" if _is_edge(find[-1]) else ""
    return re.compile(f"{before}{body}{after}", re.IGNORECASE)


def _is_edge(character: str) -> bool:
    return character.isalnum() and not is_unspaced(character)


def _in_case_of(found: str, write: str) -> str:
    """The replacement in the case of what was found, unless it has capitals of its own."""
    if write != write.lower():
        return write
    if found.isupper() and sum(map(str.isalpha, found)) > 1:
        return write.upper()
    return write[:1].upper() + write[1:] if found[:1].isupper() else write


def _line(segment: Segment) -> tuple[str, list[int]]:
    """The words as one line, and where each begins. Spaces are where the segment's text has them."""
    parts: list[str] = []
    at = 0
    for word in segment.words:
        found = segment.text.find(word.word, at)
        gap = segment.text[at:found] if found >= 0 else " "
        parts.append((" " if gap or found < 0 else "") + word.word if parts else word.word)
        at = found + len(word.word) if found >= 0 else at
    return "".join(parts), [0, *accumulate(map(len, parts))][: len(parts)]


def _divided(words: Sequence[Word], text: str) -> list[Word]:
    """The words of a new text in the time of these words. Each gets time by its length."""
    divided = divide_words(text) if re.search(f"[{UNSPACED}]", text) else text.split()
    texts = [one.strip() for one in divided if not one.isspace()]
    start_s, end_s = words[0].start, words[-1].end
    edges = [0, *accumulate(map(len, texts))]  # only 0 if a blank is written
    times = [round(start_s + (end_s - start_s) * edge / max(edges[-1], 1), 3) for edge in edges]
    confidence = round(fmean(word.confidence for word in words), 4)
    return [
        msgspec.structs.replace(words[0], word=one, start=times[number], end=times[number + 1], confidence=confidence)
        for number, one in enumerate(texts)
    ]
