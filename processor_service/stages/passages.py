"""Cut a transcript into the passages that a search over transcripts finds. Pure."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from shared.full_text import config_of, indexed
from shared.schemas.transcript import Segment, Transcript
from shared.unspaced import joined_text

MOST_CHARS = 800  # about a minute of speech
CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")  # Postgres has no NUL, and marks what it found by two others


class Passage(msgspec.Struct, frozen=True):
    """Some segments: their text, where each begins in it, and the words to index."""

    config: str
    body: str
    segments: tuple[tuple[int, float], ...]  # place in `body`, start in seconds
    words: str


def passages_of(transcript: Transcript) -> list[Passage]:
    """Return the passages of a transcript. Each has one language, and is longer than its bound only by its segment."""
    return [_passage(group, transcript.language) for group in _groups(transcript)]


def _groups(transcript: Transcript) -> Iterator[Sequence[Segment]]:
    group: list[Segment] = []
    chars = 0
    for segment in transcript.segments:
        is_full = chars + len(segment.text) > MOST_CHARS
        if group and (is_full or segment.language != group[-1].language):
            yield group
            group, chars = [], 0
        if segment.text.strip():
            group.append(segment)
            chars += len(segment.text)
    if group:
        yield group


def _passage(group: Sequence[Segment], language: str | None) -> Passage:
    body, places = "", []
    for segment in group:
        text = CONTROLS.sub(" ", segment.text).strip()
        body = joined_text((body, text)) if body else text
        places.append((len(body) - len(text), round(segment.start, 3)))
    return Passage(config_of(group[0].language or language), body, tuple(places), indexed(body))
