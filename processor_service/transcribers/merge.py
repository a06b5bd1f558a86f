"""Merge the transcripts of consecutive chunks. They meet in a pause, or both contain the words around the cut."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from processor_service.transcribers.seam import SpokenWord, find_seam
from shared.schemas.transcript import EngineUse, ResultWarning, Segment, Transcript, WarningCode, Word
from shared.unspaced import joined_text

SEPARATE = (WarningCode.SPEECH_NOT_TRANSCRIBED, WarningCode.LANGUAGE_UNSURE)  # every span of these warnings matters


def merge_transcripts(parts: Sequence[Transcript], *, duration_s: float, start_s: float = 0.0) -> Transcript:
    """Merge one or more transcripts, in order. Each one's duration reaches to the start of the next.

    The first one begins at `start_s`. The duration of the result reaches to the end of the last one. Segments are
    renumbered. Warnings with the same code and message become one.
    """
    segments = _in_order(_joined(parts, start_s))
    first = next((part for part in parts if part.engine), parts[0])  # a silent part has no remote engine
    return msgspec.structs.replace(
        parts[0],
        engine=first.engine,
        model=first.model,
        engines=tuple(_merged_uses(use for part in parts for use in part.engines)),
        text=joined_text(segment.text for segment in segments),
        language=_language(parts),
        language_probability=_language_probability(parts),
        duration=round(start_s + duration_s, 3),
        segments=tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(segments)),
        warnings=tuple(_merged(warning for part in parts for warning in part.warnings)),
    )


def _joined(parts: Sequence[Transcript], start_s: float) -> Iterator[list[Segment]]:
    """The segments of each channel, without duplicate words."""
    channels = {segment.channel for part in parts for segment in part.segments}
    for channel in channels:
        cut_s = start_s
        segments: list[Segment] = []
        for part in parts:
            segments = join_segments(segments, [one for one in part.segments if one.channel == channel], cut_s)
            cut_s += part.duration
        yield segments


def _in_order(channels: Iterable[list[Segment]]) -> list[Segment]:
    return sorted((segment for channel in channels for segment in channel), key=lambda one: (one.start, one.end))


def join_segments(first: Sequence[Segment], second: Sequence[Segment], cut_s: float) -> list[Segment]:
    """Join the segments on both sides of a cut. Both sides may contain the words around it."""
    kept, left_out = find_seam(_spoken(first), _spoken(second), cut_s)
    before = list(_part(first, 0, kept))
    earliest_s = before[-1].end if before else 0.0
    return [*before, *(_from(segment, earliest_s) for segment in _part(second, left_out, None))]


def _spoken(segments: Sequence[Segment]) -> list[SpokenWord]:
    return [SpokenWord(_text(one), one.start, one.end) for segment in segments for one in _units(segment)]


def _units(segment: Segment) -> Sequence[Word | Segment]:
    """The parts of a segment that are kept or dropped as a whole: its words, or the segment if it has none."""
    return segment.words or (segment,)


def _text(unit: Word | Segment) -> str:
    return unit.word if isinstance(unit, Word) else unit.text


def _part(segments: Sequence[Segment], start: int, end: int | None) -> Iterator[Segment]:
    """The units from `start` to `end`, in their segments."""
    at = 0
    for segment in segments:
        count = len(_units(segment))
        first, last = max(start - at, 0), count if end is None else min(end - at, count)
        if first < last:
            yield segment if last - first == count else cut_segment(segment, first, last)
        at += count


def cut_segment(segment: Segment, first: int, last: int) -> Segment:
    """The segment with some of its words. Its text is cut, not joined from words: not every language has spaces."""
    edges: list[tuple[int, int]] = []
    for word in segment.words:
        start = segment.text.find(word.word, edges[-1][1] if edges else 0)
        edges.append((start, start + len(word.word)))
    words = segment.words[first:last]
    text = segment.text[edges[first][0] : edges[last - 1][1]]
    return msgspec.structs.replace(segment, start=words[0].start, end=words[-1].end, text=text, words=words)


def _from(segment: Segment, earliest_s: float) -> Segment:
    """The segment with no time before `earliest_s`."""
    if segment.start >= earliest_s:
        return segment
    words = tuple(
        msgspec.structs.replace(word, start=max(word.start, earliest_s), end=max(word.end, earliest_s))
        for word in segment.words
    )
    return msgspec.structs.replace(segment, start=earliest_s, end=max(segment.end, earliest_s), words=words)


def _merged_uses(uses: Iterable[EngineUse]) -> list[EngineUse]:
    """The uses in order; consecutive ones of the same engine and model become one."""
    joined: list[EngineUse] = []
    for use in uses:
        if joined and (joined[-1].engine, joined[-1].model) == (use.engine, use.model):
            joined[-1] = msgspec.structs.replace(joined[-1], end=use.end)
        else:
            joined.append(use)
    return joined


def _language(parts: Sequence[Transcript]) -> str | None:
    """The language of most of the text; parts without text do not count."""
    spoken: dict[str, int] = {}
    for part in parts:
        if part.language and part.text:
            spoken[part.language] = spoken.get(part.language, 0) + len(part.text)
    return max(spoken, key=lambda code: spoken[code]) if spoken else parts[0].language


def _language_probability(parts: Sequence[Transcript]) -> float | None:
    """The probability from the part in that language with the most text."""
    language = _language(parts)
    known = [part for part in parts if part.language == language and part.language_probability is not None]
    return max(known, key=lambda part: len(part.text)).language_probability if known else None


def _merged(warnings: Iterable[ResultWarning]) -> list[ResultWarning]:
    """One warning per code and message, from the first to the last time; those of `SEPARATE` stay as they are."""
    merged: dict[tuple[object, ...], ResultWarning] = {}
    for one in warnings:
        if one.code in SEPARATE:
            merged[one.code, one.start, one.end] = one
            continue
        before = merged.get((one.code, one.message), one)
        starts = [time_s for time_s in (before.start, one.start) if time_s is not None]
        ends = [time_s for time_s in (before.end, one.end) if time_s is not None]
        merged[one.code, one.message] = msgspec.structs.replace(
            one, start=min(starts, default=None), end=max(ends, default=None)
        )
    return list(merged.values())
