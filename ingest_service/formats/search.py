"""Find a phrase in a transcript, with the time of each hit. Pure; the cost is linear in the length of the transcript.

Case, accents and punctuation do not count. Words are found as a whole, or by their beginning with `*` behind the last
one. In scripts without spaces, a phrase is found anywhere. Hits may go over the segments of a channel.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from shared.schemas.transcript import Segment, Transcript
from shared.unspaced import UNSPACED, joined_text

CONTEXT_WORDS = 8  # of the text before and after a hit
BEGINNING = "*"
BESIDE_UNSPACED = re.compile(rf"(?<=[{UNSPACED}]) | (?=[{UNSPACED}])")
IS_UNSPACED = re.compile(f"[{UNSPACED}]")
WITHOUT_MARKS = str.maketrans("øłđħı", "oldhi")  # letters that Unicode does not decompose
NOT_ASCII_WORD = re.compile("[^a-z0-9]+")
APOSTROPHES = "'’ʼ‘"  # noqa: RUF001 - inside a word


class Search(msgspec.Struct, frozen=True, kw_only=True, tag="search"):
    """A phrase, how many hits to skip, and how many to return."""

    q: str
    skip: int = 0
    limit: int = 50


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """A phrase that was found. `words`: the numbers of its first word in `segment` and its last in `last_segment`."""

    start: float
    end: float
    segment: int
    last_segment: int
    words: tuple[int, int] | None  # None: the segment has no words; the times are those of the segment
    text: str
    before: str
    after: str
    speaker: str | None = None


class SearchResults(msgspec.Struct, frozen=True, kw_only=True):
    """A page of hits, by time. `count` is the number of all."""

    hits: tuple[SearchHit, ...]
    count: int
    next_cursor: str | None


class _Word(NamedTuple):
    """A word, and where it is. `number` is None in a segment without words."""

    text: str
    segment: int
    number: int | None
    start_s: float
    end_s: float
    speaker: str | None


def folded(text: str) -> str:
    """Return a text as it is compared: letters and digits, with one space for all between them."""
    if text.isascii():
        return " ".join(NOT_ASCII_WORD.sub(" ", text.lower().replace("'", "")).split())
    plain = unicodedata.normalize("NFKD", text.casefold()).translate(WITHOUT_MARKS)
    kept = (sign for sign in plain if not _is_mark(sign) and sign not in APOSTROPHES)
    spaced = "".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in kept)
    return unicodedata.normalize("NFKC", " ".join(spaced.split()))


def _is_mark(sign: str) -> bool:
    """Whether a sign is an accent, or a vowel sign of Hebrew or Arabic. Other scripts need theirs."""
    place = unicodedata.combining(sign)
    return sign == "\u0640" or 10 <= place <= 36 or place >= 200


def pattern_of(q: str) -> re.Pattern[str] | None:
    """Return what finds a phrase in folded text; None if it has no letter and no digit."""
    phrase = folded(q)
    if not phrase:
        return None
    begins = "" if _is_unspaced(phrase[0]) else rf"(?<![^ {UNSPACED}])"
    ends = "" if _is_unspaced(phrase[-1]) or q.rstrip().endswith(BEGINNING) else rf"(?![^ {UNSPACED}])"
    return re.compile(begins + re.escape(_without_spaces(phrase)) + ends)


def _without_spaces(text: str) -> str:
    """Return a folded text without the spaces beside scripts that have none."""
    return BESIDE_UNSPACED.sub("", text) if " " in text else text


def _is_unspaced(sign: str) -> bool:
    return not sign.isascii() and IS_UNSPACED.match(sign) is not None


def find_phrase(transcript: Transcript, search: Search) -> SearchResults:
    """Return the hits by time, from the number `skip` on, and the number of all."""
    hits = sorted(_hits(transcript, search.q), key=lambda hit: hit.words[0].start_s)
    page = hits[search.skip : search.skip + search.limit]
    end = search.skip + len(page)
    return SearchResults(
        hits=tuple(map(_shown, page)), count=len(hits), next_cursor=str(end) if end < len(hits) else None
    )


class _Hit(NamedTuple):
    """The words of a hit, and those around it."""

    words: Sequence[_Word]
    before: Sequence[_Word]
    after: Sequence[_Word]


def _hits(transcript: Transcript, q: str) -> Iterator[_Hit]:
    pattern = pattern_of(q)
    if pattern is None:
        return
    for channel in {segment.channel for segment in transcript.segments}:
        words = [word for one in transcript.segments if one.channel == channel for word in _words(one)]
        text, starts = _row(words)
        for match in pattern.finditer(text):
            first, last = (bisect_right(starts, place) - 1 for place in (match.start(), match.end() - 1))
            before = words[max(0, first - CONTEXT_WORDS) : first]
            yield _Hit(words[first : last + 1], before, words[last + 1 : last + 1 + CONTEXT_WORDS])


def _words(segment: Segment) -> Iterator[_Word]:
    """Yield the words of a segment, or else of its text, each with the time of the segment."""
    if segment.words:
        for number, word in enumerate(segment.words):
            yield _Word(word.word.strip(), segment.id, number, word.start, word.end, word.speaker or segment.speaker)
        return
    for text in segment.text.split():
        yield _Word(text, segment.id, None, segment.start, segment.end, segment.speaker)


def _row(words: Sequence[_Word]) -> tuple[str, list[int]]:
    """Return the folded words in a row, and where each begins. Scripts without spaces get none."""
    parts: list[str] = []
    starts: list[int] = []
    length, last = 0, ""
    for word in words:
        text = _without_spaces(folded(word.text))
        if text and last and not _is_unspaced(last) and not _is_unspaced(text[0]):
            parts.append(" ")
            length += 1
        starts.append(length)
        parts.append(text)
        length += len(text)
        last = text[-1:] or last
    return "".join(parts), starts


def _shown(hit: _Hit) -> SearchHit:
    first, last = hit.words[0], hit.words[-1]
    has_words = first.number is not None and last.number is not None
    return SearchHit(
        start=first.start_s,
        end=max(first.start_s, last.end_s),
        segment=first.segment,
        last_segment=last.segment,
        words=(first.number, last.number) if has_words else None,  # type: ignore[arg-type] # both are numbers
        text=_text(hit.words),
        before=_text(hit.before),
        after=_text(hit.after),
        speaker=first.speaker,
    )


def _text(words: Sequence[_Word]) -> str:
    return joined_text(word.text for word in words)
