"""Check that edits fit a transcript, and move them to a transcript of the same words with other segments. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

import msgspec

from shared.schemas.transcript import Segment, Transcript, Word
from shared.schemas.transcript_edits import SegmentEdit, TranscriptEdits, WordEdit


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """Edits that fit a transcript, or a sentence about what does not."""

    edits: TranscriptEdits = TranscriptEdits()
    misfit: str | None = None


class MisfitError(ValueError):
    """The edits name what the transcript does not have. The message is for the client."""


def fit_edits(transcript: Transcript, edits: TranscriptEdits) -> Fitted:
    """Add what the engine wrote, and leave out what changes nothing.

    A label that an option of the job has named stands for that name.
    """
    edits = _by_name(transcript, edits)
    segments = {segment.id: segment for segment in transcript.segments}
    firsts = _first_words(transcript.segments)
    try:
        words = tuple(_fitted_words(edits.words, segments, firsts))
        of_segments = tuple(_fitted_segments(edits.segments, segments))
        speakers = dict(_fitted_speakers(edits, {*transcript.speakers, *(one.speaker for one in transcript.segments)}))
    except MisfitError as misfit:
        return Fitted(misfit=str(misfit))
    return Fitted(edits=TranscriptEdits(speakers=speakers, words=words, segments=of_segments))


def _by_name(transcript: Transcript, edits: TranscriptEdits) -> TranscriptEdits:
    """Replace labels that the transcript does not have any more by the names that they got."""
    named = transcript.named_speakers
    if named is msgspec.UNSET:
        return edits
    names = {one.label: one.name for one in named if one.label not in transcript.speakers}
    moved = (
        one if one.speaker is None else msgspec.structs.replace(one, speaker=names.get(one.speaker, one.speaker))
        for one in edits.segments
    )
    speakers = {names.get(label, label): name for label, name in edits.speakers.items()}
    return msgspec.structs.replace(edits, speakers=speakers, segments=tuple(moved))


def _first_words(segments: Iterable[Segment]) -> dict[int, int]:
    """The index of each segment's first word in the whole transcript."""
    segments = list(segments)
    firsts = accumulate((len(segment.words) for segment in segments), initial=0)
    return {segment.id: first for segment, first in zip(segments, firsts, strict=False)}


def _fitted_words(
    words: Iterable[WordEdit], segments: Mapping[int, Segment], firsts: Mapping[int, int]
) -> Iterator[WordEdit]:
    for one in sorted(words, key=lambda one: (one.segment, one.word)):
        segment = _segment(segments, one.segment)
        if one.word >= len(segment.words):
            count = len(segment.words)
            raise MisfitError(f"`words` names word {one.word} of segment {one.segment}, which has {count} words.")
        was = segment.words[one.word].word
        text = " ".join(one.text.split())
        if text != was.strip():
            at = firsts[one.segment] + one.word
            yield WordEdit(segment=one.segment, word=one.word, text=text, was=was, at=at)


def _segment(segments: Mapping[int, Segment], number: int) -> Segment:
    if number not in segments:
        raise MisfitError(f"The transcript has no segment {number}.")
    return segments[number]


def _fitted_segments(edits: Iterable[SegmentEdit], segments: Mapping[int, Segment]) -> Iterator[SegmentEdit]:
    for one in sorted(edits, key=lambda one: one.segment):
        segment = _segment(segments, one.segment)
        if one.text is not None and segment.words:
            raise MisfitError(f"Segment {one.segment} has words. Change its `words` instead of its `text`.")
        text = None if one.text is None else " ".join(one.text.split())
        text = None if text == segment.text.strip() else text
        speaker = None if one.speaker == segment.speaker else one.speaker
        if text is not None or speaker is not None:
            was = None if text is None else segment.text
            yield SegmentEdit(segment=one.segment, speaker=speaker, text=text, was=was, start=segment.start)


def _fitted_speakers(edits: TranscriptEdits, labels: set[str | None]) -> Iterator[tuple[str, str]]:
    known = labels | {one.speaker for one in edits.segments}
    for label, name in edits.speakers.items():
        if label not in known:
            raise MisfitError("`speakers` names a label that the transcript does not have.")
        if name != label:
            yield label, " ".join(name.split())


class _Place(NamedTuple):
    segment: int
    word: int


def move_edits(transcript: Transcript, edits: TranscriptEdits) -> TranscriptEdits:
    """Address edits in a transcript whose speakers were found again: it has the same words in other segments.

    Names of labels that are gone, and speakers of segments, are dropped: they belong to the former speakers.
    """
    words: list[tuple[_Place, Word]] = [
        (_Place(segment.id, number), word)
        for segment in transcript.segments
        for number, word in enumerate(segment.words)
    ]
    moved = [
        msgspec.structs.replace(one, segment=place.segment, word=place.word)
        for one in edits.words
        if one.at is not None and one.at < len(words)
        for place, word in [words[one.at]]
        if word.word == one.was
    ]
    labels = set(transcript.speakers)
    return TranscriptEdits(
        speakers={label: name for label, name in edits.speakers.items() if label in labels},
        words=tuple(moved),
        segments=tuple(_moved_texts(transcript, edits.segments)),
    )


def _moved_texts(transcript: Transcript, edits: Iterable[SegmentEdit]) -> Iterator[SegmentEdit]:
    places = {(segment.start, segment.text): segment.id for segment in transcript.segments if not segment.words}
    for one in edits:
        number = places.get((one.start or 0.0, one.was or ""))
        if one.text is not None and number is not None:
            yield msgspec.structs.replace(one, segment=number, speaker=None)
