"""Speech of which a transcript tells nothing: a model sometimes leaves out sentences in the middle of a window.

Such speech is handed to the engine again, in windows of its own, and what it then says of it is put in between.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from processor_service.transcribers.merge import join_segments
from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.windows import PAD_S
from shared.schemas.transcript import Segment, Transcript

LEAST_S = 1.5  # of speech without a word; shorter is a cough, or a word that is timed too short
SURE_FROM = 0.5  # confidence: in what is no speech after all the model finds words too, but is not sure of them

Again = Callable[[Sequence[Span]], Transcript]


def fill_holes(transcript: Transcript, speech: Sequence[Span], again: Again) -> Transcript:
    """The transcript, and what `again` says of the regions of speech that it tells nothing of; needs words."""
    holes = unheard(speech, [(word.start, word.end) for segment in transcript.segments for word in segment.words])
    if not holes:
        return transcript
    segments = list(transcript.segments)
    for found in again(holes).segments:
        if found.confidence >= SURE_FROM:
            segments = _with(segments, found)
    return msgspec.structs.replace(
        transcript,
        text=" ".join(segment.text for segment in segments),
        segments=tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(segments)),
    )


def unheard(speech: Sequence[Span], words: Sequence[Span]) -> list[Span]:
    """The parts of rising regions of speech in gaps between rising words, where a gap holds enough of it.

    They keep a distance from the words: the padding of a window is not to hear the end of one again, which made the
    model stop there. All of it counts as heard when there is no word at all: the model took it for something else.
    """
    if not words:
        return []
    edges = [-PAD_S, *(edge for word in words for edge in word), float("inf")]
    holes: list[Span] = []
    for gap in zip(edges[::2], edges[1::2], strict=True):
        if sum(end_s - start_s for start_s, end_s in _within(speech, gap)) >= LEAST_S:
            holes += _within(speech, (gap[0] + PAD_S, gap[1] - PAD_S))
    return holes


def _within(speech: Sequence[Span], gap: Span) -> Iterator[Span]:
    for start_s, end_s in speech:
        start_s, end_s = max(start_s, gap[0]), min(end_s, gap[1])  # noqa: PLW2901 - clipped to the gap
        if start_s < end_s:
            yield start_s, end_s


def _with(segments: list[Segment], found: Segment) -> list[Segment]:
    """One more segment in its place, none of its words twice."""
    place = sum(segment.start < found.start for segment in segments)
    before = join_segments(segments[:place], [found], found.start)
    return join_segments(before, segments[place:], found.end)
