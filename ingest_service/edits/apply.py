"""Apply edits to a transcript. Pure. What no edit names stays as it is; times stay in order.

The words of a corrected word share its time by their lengths. Corrected text has the confidence 1: a person wrote it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from shared.schemas.transcript import Segment, Transcript, Turn, Word
from shared.schemas.transcript_edits import TranscriptEdits
from shared.speaker_names import renamed_segment, renamed_turn, shown_name
from shared.speaker_statistics import with_statistics
from shared.unspaced import joined_text

CERTAIN = 1.0


def apply_edits(transcript: Transcript, edits: TranscriptEdits) -> Transcript:
    """Return the transcript with edits that fit it (`fit_edits`). A segment whose text is deleted is left out."""
    if not edits.changes:
        return transcript
    before = transcript.segments
    moved = {one.segment: one.speaker for one in edits.segments if one.speaker}
    spoken = [_with_text(segment, changes) for segment, changes in _changes(before, edits)]
    labelled = [_relabelled(segment, moved.get(segment.id)) for segment in spoken]
    segments = tuple(
        renamed_segment(after, edits.speakers)
        for old, after in zip(before, labelled, strict=True)
        if after.text.strip() or not old.text.strip()
    )
    turns = tuple(renamed_turn(turn, edits.speakers) for turn in _moved_turns(transcript, moved))
    edited = msgspec.structs.replace(
        transcript,
        text=_whole_text(transcript, spoken),
        segments=segments,
        turns=turns,
        speakers=_speakers(transcript, edits, segments, turns),
    )
    return edited if transcript.speaker_statistics is msgspec.UNSET else with_statistics(edited)


Changes = Mapping[int, str] | str  # texts by word, or of the whole segment


def _changes(segments: Sequence[Segment], edits: TranscriptEdits) -> Iterator[tuple[Segment, Changes]]:
    words: dict[int, dict[int, str]] = {}
    for one in edits.words:
        words.setdefault(one.segment, {})[one.word] = one.text
    texts = {one.segment: one.text for one in edits.segments if one.text is not None}
    return ((segment, texts.get(segment.id, words.get(segment.id, {}))) for segment in segments)


def _with_text(segment: Segment, changes: Changes) -> Segment:
    if isinstance(changes, str):
        return msgspec.structs.replace(segment, text=" ".join(changes.split()))
    if not changes:
        return segment
    parts = [
        (word.word, " ".join(changes[number].split()) if number in changes else word.word)
        for number, word in enumerate(segment.words)
    ]
    words = tuple(
        word
        for number, old in enumerate(segment.words)
        for word in (_divided(old, changes[number]) if number in changes else (old,))
    )
    text = replace_parts(segment.text, parts) if words else ""
    return msgspec.structs.replace(
        segment, words=words, text=joined_text(new for _, new in parts if new) if text is None else text
    )


def _divided(word: Word, text: str) -> Iterator[Word]:
    """The words of a text that share the time of a word by their lengths."""
    texts = text.split()
    chars = [0, *accumulate(map(len, texts))]
    times = [word.start + (word.end - word.start) * each / (chars[-1] or 1) for each in chars]
    edges = [word.start, *(min(max(round(each, 3), word.start), word.end) for each in times[1:-1]), word.end]
    for each, (start, end) in zip(texts, pairwise(edges), strict=False):
        yield msgspec.structs.replace(word, word=each, start=start, end=end, confidence=CERTAIN)


def replace_parts(text: str, parts: Iterable[tuple[str, str]]) -> str | None:
    """Replace parts of a text, given as (old, new) in order; what lies between stays. None if a part is not found.

    A part that becomes empty takes the space before it along.
    """
    pieces: list[str] = []
    at = 0
    for old, new in parts:
        needle = old.strip()
        found = text.find(needle, at)
        if found < 0:
            return None
        between = text[at:found]
        pieces += [between if new.strip() or not needle else between.rstrip(), new.strip()]
        at = found + len(needle)
    replaced = "".join([*pieces, text[at:]])
    return replaced if text[:1].isspace() else replaced.lstrip()


def _whole_text(transcript: Transcript, segments: Sequence[Segment]) -> str:
    parts = [(old.text, new.text) for old, new in zip(transcript.segments, segments, strict=True)]
    if all(old == new for old, new in parts):
        return transcript.text
    text = replace_parts(transcript.text, parts)
    return joined_text(new.strip() for _, new in parts if new.strip()) if text is None else text


def _relabelled(segment: Segment, speaker: str | None) -> Segment:
    if speaker is None:
        return segment
    words = tuple(msgspec.structs.replace(word, speaker=speaker) if word.speaker else word for word in segment.words)
    return msgspec.structs.replace(segment, speaker=speaker, words=words)


class _Moved(NamedTuple):
    """A segment's span that another speaker gets."""

    start: float
    end: float
    speaker: str


def _moved_turns(transcript: Transcript, moved: Mapping[int, str]) -> Sequence[Turn]:
    """The turns, of which those in segments with another speaker are that speaker's."""
    spans: dict[str | None, list[_Moved]] = {}
    for one in transcript.segments if transcript.turns else ():
        if (speaker := moved.get(one.id)) and speaker != one.speaker:
            spans.setdefault(one.speaker, []).append(_Moved(one.start, one.end, speaker))
    if not spans:
        return transcript.turns
    rows = {label: _Row(sorted(row)) for label, row in spans.items()}
    turns = [part for turn in transcript.turns for part in _split_turn(turn, rows.get(turn.speaker))]
    turns += [
        Turn(speaker=span.speaker, start=span.start, end=span.end)
        for row in rows.values()
        for number, span in enumerate(row.spans)
        if number not in row.used  # no turn of its former speaker is there
    ]
    return sorted(turns, key=lambda turn: (turn.start, turn.end))


class _Row:
    """Spans of one speaker, by start. `used`: the numbers of those that a turn overlaps."""

    def __init__(self, spans: Sequence[_Moved]) -> None:
        self.spans = spans
        self.used: set[int] = set()
        self._latest_ends = list(accumulate((span.end for span in spans), max))

    def within(self, start: float, end: float) -> Iterator[_Moved]:
        """Yield the spans that overlap a time."""
        number = bisect_right(self._latest_ends, start)
        while number < len(self.spans) and self.spans[number].start < end:
            if self.spans[number].end > start:
                self.used.add(number)
                yield self.spans[number]
            number += 1


def _split_turn(turn: Turn, row: _Row | None) -> Iterator[Turn]:
    at = turn.start
    for span in row.within(turn.start, turn.end) if row else ():
        start, end = max(at, span.start), min(turn.end, span.end)
        if start >= end:
            continue
        if at < start:
            yield msgspec.structs.replace(turn, start=at, end=start)
        yield Turn(speaker=span.speaker, start=start, end=end)
        at = end
    if at < turn.end or at == turn.start:
        yield msgspec.structs.replace(turn, start=at)


def _speakers(
    transcript: Transcript, edits: TranscriptEdits, segments: Iterable[Segment], turns: Iterable[Turn]
) -> tuple[str, ...]:
    """The names in use, in the order of their labels; new speakers are last."""
    labels = [*transcript.speakers, *(one.speaker for one in edits.segments if one.speaker)]
    used = {segment.speaker for segment in segments} | {turn.speaker for turn in turns}
    names = dict.fromkeys(shown_name(edits.speakers, label) for label in labels)
    return tuple(name for name in names if name is not None and name in used)
