"""Transcribe speech again that a transcript lacks, and warn of speech that stays without text.

A model sometimes omits sentences within a window: of equal sentences it writes one, of voices the loudest. Each hole
goes to the engine in windows of its own, which become shorter until the hole has text or is one region of speech.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from processor_service.transcribers.merge import join_segments
from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.windows import PAD_S
from shared.schemas.transcript import ResultWarning, Segment, Transcript, WarningCode
from shared.unspaced import joined_text

MIN_SPEECH_S = 1.0  # without a word; less is a cough, or a word whose times are too short
MIN_CONFIDENCE = 0.5  # of new segments; the model also finds words in noise, with less confidence
LONGEST_S = (30.0, 12.0, 6.0, 3.0)  # of the pieces of a hole, in each round: the model omits less in shorter windows
MIN_PIECE_S = 0.3  # a shorter piece is not speech by itself
FEWEST_PIECES = 8  # in all rounds at most this many, and one more for each PIECE_EVERY_S of speech: bounds the time
PIECE_EVERY_S = 15.0
LONE_WORDS = 2  # a segment of so few words beside a hole may belong elsewhere in it: the aligner had no better time

Hole = tuple[Span, ...]  # consecutive regions of speech without a word
Transcribe = Callable[[Sequence[Hole]], Transcript]  # of holes in order, each in windows of its own


class HoleFiller:
    """Fills the holes of a transcript with segments of `transcribe`. Its first segments may come before the others.

    `speech` holds the regions of speech of the whole audio, in order.
    """

    def __init__(self, speech: Sequence[Span], transcribe: Transcribe) -> None:
        self._speech = speech
        self._transcribe = transcribe
        self._filled: list[Segment] = []
        self._waiting: list[Segment] = []
        self._taken = 0  # segments of the engine
        self._tried = 0  # pieces of holes

    def add(self, segments: Sequence[Segment]) -> list[Segment]:
        """Add the next segments of the engine. Return the next segments of the filled transcript.

        A segment of few words waits, since speech without words may follow.
        """
        self._waiting += segments
        count = len(self._waiting)
        while count and _word_count(self._waiting[count - 1 : count]) <= LONE_WORDS:
            count -= 1
        if count == 0:
            return []
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        return self._fill(ready, ready[-1].end)

    def end(self, transcript: Transcript) -> Transcript:
        """The filled transcript. It begins with the segments that were added, as they were returned."""
        self._fill(transcript.segments[self._taken :], float("inf"))
        return msgspec.structs.replace(
            transcript,
            text=joined_text(segment.text for segment in self._filled),
            segments=tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(self._filled)),
        )

    def _fill(self, segments: Sequence[Segment], until_s: float) -> list[Segment]:
        """Fill the holes up to `until_s` between the next segments. The last segment before them is their context."""
        context = self._filled[-1:]
        from_s = context[0].start if context else float("-inf")
        speech = _within(self._speech, (from_s, until_s))
        most = FEWEST_PIECES + int(_length_s(_within(self._speech, (float("-inf"), until_s))) / PIECE_EVERY_S)
        filled, tried = _fill([*context, *segments], speech, self._transcribe, most - self._tried)
        following = [one for one in filled if one.start > from_s]
        self._filled += following
        self._taken += len(segments)
        self._tried += tried
        return following


def _fill(
    segments: list[Segment], speech: Sequence[Span], transcribe: Transcribe, most: int
) -> tuple[list[Segment], int]:
    """Fill holes with at most so many pieces. Return the segments and the number of pieces."""
    tried: set[Hole] = set()
    for longest_s in LONGEST_S:
        holes = untranscribed(speech, segments)
        pieces = [one for hole in holes for one in divided(hole, longest_s) if one not in tried]
        pieces = pieces[: max(0, most - len(tried))]
        tried.update(pieces)
        found = transcribe(pieces).segments if pieces else ()
        for piece in pieces:
            segments = _filled(segments, piece, found)
    return segments, len(tried)


def _filled(segments: list[Segment], piece: Hole, found: Sequence[Segment]) -> list[Segment]:
    """The segments with those of `found` in a piece of a hole, in place of fewer words."""
    before = [one for one in segments if _is_in(piece, one)]
    after = [one for one in found if _is_in(piece, one) and one.confidence >= MIN_CONFIDENCE]
    if _word_count(after) <= _word_count(before):
        return segments
    filled = [one for one in segments if one not in before]
    for one in after:
        filled = _with(filled, one)
    return filled


def _is_in(piece: Hole, segment: Segment) -> bool:
    return piece[0][0] - PAD_S <= (segment.start + segment.end) / 2 <= piece[-1][1] + PAD_S


def _word_count(segments: Sequence[Segment]) -> int:
    return sum(len(segment.words) or len(segment.text.split()) for segment in segments)


def hole_warnings(speech: Sequence[Span], segments: Sequence[Segment]) -> tuple[ResultWarning, ...]:
    """A warning for each hole that the segments leave in regions of speech. All are in order."""
    return tuple(_warning(round(hole[0][0], 3), round(hole[-1][1], 3)) for hole, _ in _gaps(speech, segments))


def _warning(start_s: float, end_s: float) -> ResultWarning:
    message = "Speech was detected here, but not transcribed."
    return ResultWarning(code=WarningCode.SPEECH_NOT_TRANSCRIBED, message=message, start=start_s, end=end_s)


def untranscribed(speech: Sequence[Span], segments: Sequence[Segment]) -> list[Hole]:
    """The regions of speech around each gap between words that has enough speech. All are in order.

    A gap includes the segments beside it that have few words. The regions keep a distance from other words: a window
    that begins with the end of a word made the model stop there.
    """
    gaps: list[Span] = []
    for _, (start_s, end_s) in _gaps(speech, segments):
        gap = _widened(segments, start_s, end_s)
        gaps = [*gaps[:-1], (gaps[-1][0], gap[1])] if gaps and gap[0] < gaps[-1][1] else [*gaps, gap]
    apart = [_within(speech, (start_s + PAD_S, end_s - PAD_S)) for start_s, end_s in gaps]
    return [hole for hole in apart if hole]


def _widened(segments: Sequence[Segment], start_s: float, end_s: float) -> Span:
    """The gap with the segments of few words that begin or end it."""
    edges = [float("-inf"), *(edge for one in segments for edge in (one.start, one.end)), float("inf")]
    for number, one in enumerate(segments):
        if _word_count([one]) <= LONE_WORDS and one.end == start_s:
            start_s = edges[2 * number]
        elif _word_count([one]) <= LONE_WORDS and one.start == end_s:
            end_s = edges[2 * number + 3]
    return start_s, end_s


def divided(hole: Hole, longest_s: float) -> Iterator[Hole]:
    """The hole in pieces of at most `longest_s`, divided at its longest pauses. A region is not divided."""
    if len(hole) == 1 or hole[-1][1] - hole[0][0] <= longest_s:
        if _length_s(hole) >= MIN_PIECE_S:
            yield hole
        return
    cut = max(range(1, len(hole)), key=lambda number: hole[number][0] - hole[number - 1][1])
    yield from divided(hole[:cut], longest_s)
    yield from divided(hole[cut:], longest_s)


def _gaps(speech: Sequence[Span], segments: Sequence[Segment]) -> Iterator[tuple[Hole, Span]]:
    """The regions of speech in each gap between words, and the gap; for gaps with enough speech."""
    words = [(one.start, one.end) for segment in segments for one in segment.words or (segment,)]
    edges = [float("-inf"), *(edge for word in words for edge in word), float("inf")]
    for gap in zip(edges[::2], edges[1::2], strict=True):
        hole = _within(speech, gap) if gap[1] - gap[0] >= MIN_SPEECH_S else ()
        if _length_s(hole) >= MIN_SPEECH_S:
            yield hole, gap


def _within(speech: Sequence[Span], gap: Span) -> Hole:
    clipped = ((max(start_s, gap[0]), min(end_s, gap[1])) for start_s, end_s in speech)
    return tuple(span for span in clipped if span[0] < span[1])


def _length_s(spans: Sequence[Span]) -> float:
    return sum(end_s - start_s for start_s, end_s in spans)


def _with(segments: list[Segment], found: Segment) -> list[Segment]:
    """The segments with another one inserted, without duplicate words."""
    position = sum(segment.start < found.start for segment in segments)
    before = join_segments(segments[:position], [found], found.start)
    return join_segments(before, segments[position:], found.end)
