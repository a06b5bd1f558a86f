"""The language of each window has a probability if the client asks; windows below the floor have a warning."""

import msgspec
import pytest

from processor_service.transcribers.heard_languages import HeardLanguages, unsure_warnings
from processor_service.transcribers.language_track import Probabilities, slices_of
from processor_service.transcribers.segments import RecognizedWindow, TimedWord, segments_of
from processor_service.transcribers.transcriber import Span

BATCH = [(10.0, 20.0), (20.0, 30.0)]


def window(span: Span, language: str) -> RecognizedWindow:
    words = [TimedWord(" word.", span[0] + 1, span[0] + 2, 0.9), TimedWord(" word.", span[1] - 2, span[1] - 1, 0.9)]
    return RecognizedWindow(span=span, words=words, no_speech_probability=0.0, language=language)


def hear(number: int, span: Span) -> Probabilities:
    """The first window is English until 5 s and then French; of the second the model is not sure."""
    if number:
        return {"en": 0.4, "nl": 0.35, "de": 0.15, "fr": 0.1}
    return {"en": 0.9, "fr": 0.1} if span[1] <= 5 else {"en": 0.2, "fr": 0.8}


@pytest.fixture
def heard() -> HeardLanguages:
    heard = HeardLanguages(hear)
    for number, (start_s, end_s) in enumerate(BATCH):
        for one in slices_of(end_s - start_s):
            heard(number, one)
    return heard


def test_a_part_of_a_window_has_the_probability_of_its_slices(heard: HeardLanguages) -> None:
    parts = [window((10.0, 15.0), "en"), window((15.0, 20.0), "fr"), window((10.0, 20.0), "en")]
    found = [heard.added_to(one, BATCH) for one in parts]
    assert [one.language_probability for one in found] == pytest.approx([0.9, 0.8, 0.55])
    segments = segments_of(found[:2])
    assert [one.language_probability for one in segments] == [0.9, 0.9, 0.8, 0.8]


def test_an_unsure_window_has_a_warning_with_the_candidates(heard: HeardLanguages) -> None:
    windows = [heard.added_to(window(one, "en"), BATCH) for one in BATCH]
    (warning,) = unsure_warnings(windows, 0.5)
    assert (warning.code, warning.start, warning.end) == ("language_unsure", 21.0, 29.0)
    assert warning.message.endswith("en 0.40, nl 0.35, de 0.15.")
    assert list(unsure_warnings(windows, 0.4)) == []
    assert len(list(unsure_warnings(windows, 0.6))) == 2


def test_without_the_option_nothing_is_added() -> None:
    plain = window((10.0, 20.0), "en")
    assert list(unsure_warnings([plain], None)) == []
    assert b"language_probability" not in msgspec.json.encode(segments_of([plain]))
