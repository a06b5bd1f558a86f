"""Transcribe speech again that a transcript lacks: a model sometimes omits sentences within a window.

Such speech goes to the engine in separate windows; the new segments are inserted.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from processor_service.transcribers.merge import join_segments
from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.windows import PAD_S
from shared.schemas.transcript import Segment, Transcript

MIN_SPEECH_S = 1.5  # without a word; less is a cough, or a word whose times are too short
MIN_CONFIDENCE = 0.5  # of new segments; the model also finds words in noise, with less confidence

Transcribe = Callable[[Sequence[Span]], Transcript]


def fill_holes(transcript: Transcript, speech: Sequence[Span], transcribe: Transcribe) -> Transcript:
    """The transcript with segments of `transcribe` for regions of speech without words. Needs word times."""
    holes = untranscribed(speech, [(word.start, word.end) for segment in transcript.segments for word in segment.words])
    if not holes:
        return transcript
    segments = list(transcript.segments)
    for found in transcribe(holes).segments:
        if found.confidence >= MIN_CONFIDENCE:
            segments = _with(segments, found)
    return msgspec.structs.replace(
        transcript,
        text=" ".join(segment.text for segment in segments),
        segments=tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(segments)),
    )


def untranscribed(speech: Sequence[Span], words: Sequence[Span]) -> list[Span]:
    """The parts of regions of speech in gaps between words, for gaps with enough speech. Both are in order.

    The parts keep a distance from the words: a window that begins with the end of a word made the model stop there. An
    empty transcript has no gaps: the model took all of it for something else.
    """
    if not words:
        return []
    edges = [-PAD_S, *(edge for word in words for edge in word), float("inf")]
    holes: list[Span] = []
    for gap in zip(edges[::2], edges[1::2], strict=True):
        if sum(end_s - start_s for start_s, end_s in _within(speech, gap)) >= MIN_SPEECH_S:
            holes += _within(speech, (gap[0] + PAD_S, gap[1] - PAD_S))
    return holes


def _within(speech: Sequence[Span], gap: Span) -> Iterator[Span]:
    for start_s, end_s in speech:
        start_s, end_s = max(start_s, gap[0]), min(end_s, gap[1])  # noqa: PLW2901 - clipped to the gap
        if start_s < end_s:
            yield start_s, end_s


def _with(segments: list[Segment], found: Segment) -> list[Segment]:
    """The segments with another one inserted, without duplicate words."""
    position = sum(segment.start < found.start for segment in segments)
    before = join_segments(segments[:position], [found], found.start)
    return join_segments(before, segments[position:], found.end)
