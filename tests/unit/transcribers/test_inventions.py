"""Invented text is left out: guesses in noise, and repetitions that are too fast for speech."""

import msgspec

from processor_service.transcribers.transcribe_windows import without_inventions
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
