"""Moves the edges of words out of pauses. Apart from `word_times`, which imports torch: every compute child runs it."""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from processor_service.transcribers.transcriber import Span
from shared.schemas.transcript import Segment, Transcript


def snap_times(transcript: Transcript, speech: Sequence[Span]) -> Transcript:
    """Move the edges of words out of pauses, into regions of speech (in order) that the words touch.

    The aligner adds a pause to a word beside it; voice activity detection finds the pause. Words stay in order and keep
    all of their time in speech. For every engine.
    """
    return msgspec.structs.replace(transcript, segments=tuple(snapped(transcript.segments, speech)))


def snapped(segments: Sequence[Segment], speech: Sequence[Span]) -> list[Segment]:
    """The segments with such times."""
    starts_s = [start_s for start_s, _ in speech]
    return [_snapped_segment(one, speech, starts_s) for one in segments]


def _snapped_segment(segment: Segment, speech: Sequence[Span], starts_s: Sequence[float]) -> Segment:
    start_s, end_s = _snapped_span(segment.start, segment.end, speech, starts_s)
    if not segment.words:
        return msgspec.structs.replace(segment, start=start_s, end=end_s)
    words = []
    for one in segment.words:
        word_start_s, word_end_s = _snapped_span(one.start, one.end, speech, starts_s)
        words.append(msgspec.structs.replace(one, start=word_start_s, end=word_end_s))
    return msgspec.structs.replace(segment, start=words[0].start, end=words[-1].end, words=tuple(words))


def _snapped_span(start_s: float, end_s: float, speech: Sequence[Span], starts_s: Sequence[float]) -> Span:
    """The span without pauses at its start and end; unchanged if it touches no speech."""
    following = bisect_right(starts_s, start_s)  # the first region that begins after the start
    begins_in_pause = following == 0 or speech[following - 1][1] <= start_s
    if begins_in_pause and following < len(speech) and speech[following][0] < end_s:
        start_s = speech[following][0]
    last = bisect_right(starts_s, end_s) - 1  # the last region that begins before the end
    if last >= 0 and start_s < speech[last][1] < end_s:
        end_s = speech[last][1]
    return round(start_s, 3), round(end_s, 3)
