"""Invented text is left out: guesses in noise, and repetitions that are too fast for speech."""

import msgspec

from processor_service.transcribers.inventions import settled, without_inventions
from processor_service.transcribers.transcriber import word
from shared.schemas.transcript import Segment

SENTENCE = "At that high level the air is pure."


def _segment(number: int, text: str, start_s: float, end_s: float) -> Segment:
    words = tuple(word(one, start_s, end_s, 0.9) for one in text.split())
    return Segment(id=number, start=start_s, end=end_s, text=text, confidence=0.9, no_speech_prob=0.0, words=words)


def test_a_repetition_without_time_for_it_is_left_out() -> None:
    said = [_segment(0, SENTENCE, 0.0, 2.8), _segment(1, SENTENCE, 3.3, 3.8), _segment(2, SENTENCE, 3.8, 6.1)]

    assert [(one.id, one.start) for one in without_inventions(said)] == [(0, 0.0), (1, 3.8)]


def test_fast_words_and_repetitions_at_usual_speed_are_kept() -> None:
    said = [
        _segment(0, SENTENCE, 0.0, 2.8),
        _segment(1, SENTENCE, 3.3, 5.5),
        _segment(2, "He began a confused complaint.", 5.5, 5.9),  # another text with poor times
        _segment(3, "No.", 6.0, 6.01),
        _segment(4, "No.", 6.1, 6.11),
    ]

    assert without_inventions(said) == said


def test_a_guess_in_noise_is_left_out() -> None:
    sentence = _segment(0, SENTENCE, 0.0, 3.0)
    rated = [(0.2, 0.75), (0.9, 0.75), (0.2, 0.1)]  # confidence, and probability of no speech

    kept = without_inventions(
        [
            msgspec.structs.replace(sentence, confidence=confidence, no_speech_prob=no_speech)
            for confidence, no_speech in rated
        ]
    )

    assert [(one.confidence, one.no_speech_prob) for one in kept] == rated[1:]


def test_segments_are_settled_when_later_windows_cannot_change_them() -> None:
    said = [
        _segment(0, SENTENCE, 0.0, 2.8),
        _segment(1, "It is cold.", 3.0, 4.0),
        _segment(2, "And so", 4.1, 5.0),  # the sentence may go on
    ]

    assert settled(said, next_start_s=6.0) == said[:2]
    assert settled(said, next_start_s=4.2) == said[:1]  # the next window has the last words, too
    assert settled(said[:1], next_start_s=6.0) == []


def test_a_segment_that_may_be_a_repetition_is_not_settled() -> None:
    said = [_segment(0, SENTENCE, 0.0, 2.8), _segment(1, SENTENCE, 3.3, 3.4), _segment(2, "At that", 3.4, 4.0)]

    assert settled(said, next_start_s=6.0) == said[:1]
    assert [one.start for one in without_inventions(said)] == [0.0, 3.4]


def test_settled_segments_are_the_first_of_the_kept_ones() -> None:
    noise = msgspec.structs.replace(_segment(0, "Thank you.", 0.0, 1.0), confidence=0.1, no_speech_prob=0.9)
    said = [noise, _segment(1, SENTENCE, 2.0, 4.8), _segment(2, "It is cold.", 5.0, 6.0)]

    assert settled(said, next_start_s=9.0) == without_inventions(said)[:1]
