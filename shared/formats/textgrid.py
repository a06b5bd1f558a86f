"""Praat's TextGrid: tiers of intervals, for phoneticians.

Every tier covers the whole recording, without gaps or overlaps: Praat accepts no others. A channel has its own tier of
words, a speaker one of segments.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.formats.plain import one_line
from shared.schemas.transcript import Segment, Transcript
from shared.subtitles.pieces import REPLACEMENT


class _Interval(NamedTuple):
    start_ms: int
    end_ms: int
    text: str


Tier = tuple[str, Sequence[_Interval]]


def render_textgrid(transcript: Transcript) -> str:
    """Render the long form of a TextGrid. Times are seconds."""
    segments = transcript.segments
    ends_s = [one.end for one in segments] + [word.end for one in segments for word in one.words]
    end_ms = max(1, round(max(transcript.duration, *ends_s, 0.0) * 1000))
    tiers = [(name, covering(spans, end_ms)) for name, spans in _tiers(transcript.segments)]
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_s(end_ms)}"]
    lines = [*head, "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers, start=1):
        lines += _tier_lines(number, name, intervals, end_ms)
    return "".join(f"{line}\n" for line in lines)


def _tiers(segments: Sequence[Segment]) -> Iterator[Tier]:
    """Yield the tiers of words by channel, and those of segments by speaker, or else by channel."""
    channels = sorted({one.channel for one in segments}, key=lambda channel: channel or 0) or [None]
    for channel in channels:
        own = [one for one in segments if one.channel == channel]
        if any(one.words for one in own):
            yield _named("words", channel), _words(own)
    for speaker in dict.fromkeys(one.speaker for one in segments if one.speaker):
        yield " ".join(speaker.split()), _spans(one for one in segments if one.speaker == speaker)
    for channel in channels:
        own = [one for one in segments if one.channel == channel and not one.speaker]
        if own or not segments:
            yield _named("segments", channel), _spans(own)


def _named(name: str, channel: int | None) -> str:
    return name if channel is None else f"{name} {channel}"


def _words(segments: Iterable[Segment]) -> list[_Interval]:
    words = (word for segment in segments for word in segment.words)
    texts = ((word, word.word.replace(REPLACEMENT, "").strip()) for word in words)
    return [_Interval(round(word.start * 1000), round(word.end * 1000), text) for word, text in texts]


def _spans(segments: Iterable[Segment]) -> list[_Interval]:
    return [_Interval(round(one.start * 1000), round(one.end * 1000), one_line(one)) for one in segments]


def covering(spans: Iterable[_Interval], end_ms: int) -> list[_Interval]:
    """Return intervals that cover the time from 0 to the end. A span without a time of its own joins the one before."""
    found: list[_Interval] = []
    at_ms = 0
    for span in sorted((one for one in spans if one.text), key=lambda one: one.start_ms):
        start_ms, until_ms = max(at_ms, min(span.start_ms, end_ms - 1)), min(end_ms, span.end_ms)
        if found and (until_ms <= at_ms or at_ms == end_ms):
            found[-1] = found[-1]._replace(text=f"{found[-1].text} {span.text}".strip())
            continue
        if start_ms > at_ms:
            found.append(_Interval(at_ms, start_ms, ""))
        at_ms = max(until_ms, start_ms + 1)
        found.append(_Interval(start_ms, at_ms, span.text))
    return [*found, _Interval(at_ms, end_ms, "")] if at_ms < end_ms else found


def _tier_lines(number: int, name: str, intervals: Sequence[_Interval], end_ms: int) -> Iterator[str]:
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f"        name = {_quoted(name)}"
    yield "        xmin = 0"
    yield f"        xmax = {_s(end_ms)}"
    yield f"        intervals: size = {len(intervals)}"
    for each, interval in enumerate(intervals, start=1):
        yield f"        intervals [{each}]:"
        yield f"            xmin = {_s(interval.start_ms)}"
        yield f"            xmax = {_s(interval.end_ms)}"
        yield f"            text = {_quoted(interval.text)}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _s(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")
