"""Merges the transcripts of consecutive chunks. They meet in pauses, or both tell what lies around the cut."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from processor_service.transcribers.seam import SpokenWord, find_seam
from shared.schemas.transcript import EngineUse, ResultWarning, Segment, Transcript, Word


def merge_transcripts(parts: Sequence[Transcript], *, duration_s: float) -> Transcript:
    """One transcript out of at least one, in order; each lasts as long as the audio up to the next one's.

    Segments are numbered anew; warnings of one kind become one, over all of their time.
    """
    segments = _in_order(_joined(parts))
    first = next((part for part in parts if part.engine), parts[0])  # a remote engine is not asked about silence
    return msgspec.structs.replace(
        parts[0],
        engine=first.engine,
        model=first.model,
        engines=tuple(_at_work(use for part in parts for use in part.engines)),
        text=" ".join(segment.text for segment in segments),
        language=_language(parts),
        language_probability=_language_probability(parts),
        duration=round(duration_s, 3),
        segments=tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(segments)),
        warnings=tuple(_merged(warning for part in parts for warning in part.warnings)),
    )


def _joined(parts: Sequence[Transcript]) -> Iterator[list[Segment]]:
    """The segments of each channel, each word of it once."""
    channels = {segment.channel for part in parts for segment in part.segments}
    for channel in channels:
        cut_s = 0.0
        segments: list[Segment] = []
        for part in parts:
            segments = join_segments(segments, [one for one in part.segments if one.channel == channel], cut_s)
            cut_s += part.duration
        yield segments


def _in_order(channels: Iterable[list[Segment]]) -> list[Segment]:
    return sorted((segment for channel in channels for segment in channel), key=lambda one: (one.start, one.end))


def join_segments(first: Sequence[Segment], second: Sequence[Segment], cut_s: float) -> list[Segment]:
    """Segments on both sides of a cut, of which both may tell what was said around it."""
    kept, left_out = find_seam(_spoken(first), _spoken(second), cut_s)
    before = list(_part(first, 0, kept))
    earliest_s = before[-1].end if before else 0.0
    return [*before, *(_from(segment, earliest_s) for segment in _part(second, left_out, None))]


def _spoken(segments: Sequence[Segment]) -> list[SpokenWord]:
    return [SpokenWord(_text(one), one.start, one.end) for segment in segments for one in _units(segment)]


def _units(segment: Segment) -> Sequence[Word | Segment]:
    """What of a segment is kept or left out as a whole: its words; without any, all of it."""
    return segment.words or (segment,)


def _text(unit: Word | Segment) -> str:
    return unit.word if isinstance(unit, Word) else unit.text


def _part(segments: Sequence[Segment], start: int, end: int | None) -> Iterator[Segment]:
    """The units from start to end, in their segments."""
    at = 0
    for segment in segments:
        count = len(_units(segment))
        first, last = max(start - at, 0), count if end is None else min(end - at, count)
        if first < last:
            yield segment if last - first == count else cut_segment(segment, first, last)
        at += count


def cut_segment(segment: Segment, first: int, last: int) -> Segment:
    """Some of a segment's words; its text is cut as it stands, for not every language has spaces."""
    edges: list[tuple[int, int]] = []
    for word in segment.words:
        start = segment.text.find(word.word, edges[-1][1] if edges else 0)
        edges.append((start, start + len(word.word)))
    words = segment.words[first:last]
    text = segment.text[edges[first][0] : edges[last - 1][1]]
    return msgspec.structs.replace(segment, start=words[0].start, end=words[-1].end, text=text, words=words)


def _from(segment: Segment, earliest_s: float) -> Segment:
    """The same segment, nothing of it before the earliest time."""
    if segment.start >= earliest_s:
        return segment
    words = tuple(
        msgspec.structs.replace(word, start=max(word.start, earliest_s), end=max(word.end, earliest_s))
        for word in segment.words
    )
    return msgspec.structs.replace(segment, start=earliest_s, end=max(segment.end, earliest_s), words=words)


def _at_work(uses: Iterable[EngineUse]) -> list[EngineUse]:
    """Uses in order; neighbours of one engine and model are made one."""
    joined: list[EngineUse] = []
    for use in uses:
        if joined and (joined[-1].engine, joined[-1].model) == (use.engine, use.model):
            joined[-1] = msgspec.structs.replace(joined[-1], end=use.end)
        else:
            joined.append(use)
    return joined


def _language(parts: Sequence[Transcript]) -> str | None:
    """The language most of the text is in; parts without speech have no say."""
    spoken: dict[str, int] = {}
    for part in parts:
        if part.language and part.text:
            spoken[part.language] = spoken.get(part.language, 0) + len(part.text)
    return max(spoken, key=lambda code: spoken[code]) if spoken else parts[0].language


def _language_probability(parts: Sequence[Transcript]) -> float | None:
    """Of the longest part in that language, whose judge heard most."""
    language = _language(parts)
    judges = [part for part in parts if part.language == language and part.language_probability is not None]
    return max(judges, key=lambda part: len(part.text)).language_probability if judges else None


def _merged(warnings: Iterable[ResultWarning]) -> list[ResultWarning]:
    """One warning for each kind; its time is from the first to the last."""
    merged: dict[tuple[str, str], ResultWarning] = {}
    for one in warnings:
        before = merged.get((one.code, one.message), one)
        starts = [time_s for time_s in (before.start, one.start) if time_s is not None]
        ends = [time_s for time_s in (before.end, one.end) if time_s is not None]
        merged[one.code, one.message] = msgspec.structs.replace(
            one, start=min(starts, default=None), end=max(ends, default=None)
        )
    return list(merged.values())
