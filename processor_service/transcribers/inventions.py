"""Leave out what a model invents, and find the segments that later windows cannot change. Pure."""

from collections.abc import Sequence

import msgspec

from processor_service.transcribers.seam import SAME_WORD_S
from processor_service.transcribers.whisper_checks import SILENT_FROM
from shared.schemas.transcript import Segment

GUESS_BELOW = 0.3  # confidence of a segment that the model itself takes for silence
ECHO_WORDS = 4  # shorter repetitions are normal and fast: "no, no, no"
FASTEST_CHARACTERS_S = 30.0  # fast speech has 20


def without_inventions(segments: Sequence[Segment]) -> list[Segment]:
    """The segments without guesses in noise, and without repetitions of a neighbour that were too fast for speech.

    A model that hears equal sentences may write more of them than were said; the aligner has no time for these.
    """
    return _kept(segments, segments)


def settled(segments: Sequence[Segment], next_start_s: float) -> list[Segment]:
    """The first of `without_inventions`: those that windows from `next_start_s` on cannot change.

    The last segment may go on, words at the next window may be its words, and a following segment shows whether one
    that was too fast is a repetition.
    """
    until = max(0, len(segments) - 1)
    while until and (segments[until - 1].end > next_start_s - SAME_WORD_S or _is_too_fast(segments[until - 1])):
        until -= 1
    return _kept(segments[:until], segments)


def _kept(some: Sequence[Segment], segments: Sequence[Segment]) -> list[Segment]:
    kept = [segment for segment in some if not _is_guess(segment) and not _is_echo(segment, segments)]
    return [msgspec.structs.replace(segment, id=number) for number, segment in enumerate(kept)]


def _is_guess(segment: Segment) -> bool:
    return segment.no_speech_prob > SILENT_FROM and segment.confidence < GUESS_BELOW


def _is_echo(segment: Segment, segments: Sequence[Segment]) -> bool:
    if not _is_too_fast(segment):
        return False
    neighbours = segments[max(0, segment.id - 1) : segment.id + 2]
    return any(one.id != segment.id and one.text.casefold() == segment.text.casefold() for one in neighbours)


def _is_too_fast(segment: Segment) -> bool:
    is_long = len(segment.words) >= ECHO_WORDS
    return is_long and len(segment.text) > FASTEST_CHARACTERS_S * (segment.end - segment.start)
