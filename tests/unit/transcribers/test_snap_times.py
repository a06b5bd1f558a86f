"""Words start and end in speech."""

import pytest

from processor_service.transcribers.snap_times import snap_times
from processor_service.transcribers.transcriber import Span
from shared.schemas.transcript import Segment, Transcript, Word

SPEECH = [(1.0, 2.0), (3.0, 5.0)]


def _snapped(*spans: Span) -> list[Span]:
    words = tuple(Word(word="a", start=start_s, end=end_s, confidence=1.0) for start_s, end_s in spans)
    segment = Segment(
        id=0, start=words[0].start, end=words[-1].end, text="a", confidence=1, no_speech_prob=0, words=words
    )
    transcript = Transcript(text="a", language="en", duration=9, segments=(segment,))
    (snapped,) = snap_times(transcript, SPEECH).segments
    assert (snapped.start, snapped.end) == (snapped.words[0].start, snapped.words[-1].end)
    return [(word.start, word.end) for word in snapped.words]


@pytest.mark.parametrize(
    ("word", "snapped"),
    [
        ((2.2, 3.4), (3.0, 3.4)),  # begins in the pause before it
        ((1.5, 2.4), (1.5, 2.0)),  # ends in the pause after it
        ((0.5, 2.9), (1.0, 2.0)),  # both
        ((1.2, 1.8), (1.2, 1.8)),  # is in speech
        ((1.8, 3.2), (1.8, 3.2)),  # spans a pause: its position is unknown
        ((2.2, 2.8), (2.2, 2.8)),  # touches no speech: detection may have missed it
        ((6.0, 7.0), (6.0, 7.0)),
    ],
)
def test_a_pause_at_the_edge_of_a_word_is_removed(word: Span, snapped: Span) -> None:
    assert _snapped(word) == [snapped]


def test_words_stay_in_order() -> None:
    assert _snapped((1.5, 2.4), (2.4, 3.5)) == [(1.5, 2.0), (3.0, 3.5)]
