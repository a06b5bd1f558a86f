"""Sends the text of a chunk while it is transcribed: each segment once, in order, when no later step changes it."""

from collections.abc import Callable, Sequence

from processor_service.compute.messages import WindowTranscribed
from processor_service.transcribers.merge import cut_segment
from processor_service.transcribers.replacements import Replacements
from processor_service.transcribers.transcriber import Span, shifted_segment
from shared.schemas.transcript import Segment, Word
from shared.schemas.windows import WindowSegment

SendWindow = Callable[[WindowTranscribed], None]


def ignore_window(_: WindowTranscribed) -> None:
    """Send nothing."""


class ChunkStream:
    """The text of a chunk whose `core` is a span of the source, of audio that begins at `start_s` of the source.

    The neighbours of the chunk send what is outside the core.
    """

    def __init__(self, send: SendWindow, core: Span, start_s: float, replacements: Replacements) -> None:
        self._send = send
        self._core = core
        self._start_s = start_s
        self._replacements = replacements
        self._sent = 0  # segments

    def add(self, segments: Sequence[Segment]) -> None:
        """Send the next segments, if there are any, with replacements. Their times are seconds in the audio."""
        written = self._replacements.of_segments(segments)
        if texts := self._in_core([shifted_segment(one, self._start_s) for one in written]):
            self._sent += len(texts)
            self._send(WindowTranscribed(segments=texts))

    def end(self, segments: Sequence[Segment]) -> None:
        """Send the rest of all segments of the chunk, with replacements and times of the source."""
        self._send(WindowTranscribed(segments=self._in_core(segments)[self._sent :], is_last=True))

    def _in_core(self, segments: Sequence[Segment]) -> tuple[WindowSegment, ...]:
        parts = (_between(one, *self._core) for one in segments)
        return tuple(WindowSegment(start=one.start, end=one.end, text=one.text) for one in parts if one)


def _between(segment: Segment, start_s: float, end_s: float) -> Segment | None:
    """The words of a segment whose middles are in a span; None if there are none. Without words, all or nothing."""
    units: Sequence[Word | Segment] = segment.words or (segment,)
    inside = [number for number, one in enumerate(units) if start_s <= (one.start + one.end) / 2 < end_s]
    if len(inside) == len(units):
        return segment
    return cut_segment(segment, inside[0], inside[-1] + 1) if inside else None
