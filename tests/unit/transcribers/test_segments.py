"""Segments are sentences, divided at pauses and when they are long."""

import msgspec
import pytest

from processor_service.transcribers.segments import PAUSE_S, RecognizedWindow, TimedWord, main_language, segments_of
from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.word_times import MAX_WORD_S, without_pauses


def _words(*texts: str, step_s: float = 0.5) -> list[TimedWord]:
    return [TimedWord(text, n * step_s, (n + 1) * step_s, 0.5) for n, text in enumerate(texts)]


def _window(words: list[TimedWord], span: Span = (0.0, 30.0), *, no_speech: float = 0.1) -> RecognizedWindow:
    return RecognizedWindow(span=span, words=words, no_speech_probability=no_speech)


def _texts(words: list[TimedWord]) -> list[str]:
    return [one.text for one in segments_of([_window(words)])]


def test_each_sentence_is_a_segment() -> None:
    assert _texts(_words(" Ask", " not.", " Why", " not?", " So")) == ["Ask not.", "Why not?", "So"]


def test_a_pause_divides_segments() -> None:
    words = [TimedWord(" a", 0.0, 0.5, 1.0), TimedWord(" b", 0.5 + PAUSE_S, 2.0, 1.0)]
    assert _texts(words) == ["a", "b"]


def test_a_long_sentence_is_divided_at_a_comma() -> None:
    words = _words(*[" la"] * 31, " then,", " on")
    assert len(_texts(words)) == 2


def test_no_spaces_are_added_to_languages_without_spaces() -> None:
    assert _texts(_words("今日", "は。", "雨")) == ["今日は。", "雨"]


def test_a_segment_has_times_and_confidence() -> None:
    (segment,) = segments_of([_window(_words(" a", " b"), no_speech=0.25)])

    assert (segment.start, segment.end, [one.word for one in segment.words]) == (0.0, 1.0, ["a", "b"])
    assert (segment.confidence, segment.no_speech_prob) == (0.5, 0.25)


def test_a_change_of_language_divides_segments() -> None:
    first = msgspec.structs.replace(_window(_words(" Ask", " not")), language="en")
    second = msgspec.structs.replace(_window([TimedWord(" Bonjour", 1.1, 2.0, 1.0)], (1.0, 2.0)), language="fr")

    segments = segments_of([msgspec.structs.replace(first, span=(0.0, 1.0)), second])

    assert [(one.id, one.text, one.language) for one in segments] == [(0, "Ask not", "en"), (1, "Bonjour", "fr")]
    assert main_language(segments) == "en"
    assert main_language([]) is None


def test_no_words_give_no_segments() -> None:
    assert segments_of([]) == segments_of([_window([])]) == []


def test_a_sentence_continues_in_the_next_window() -> None:
    first = _window([TimedWord(" Ask", 29.0, 29.5, 1.0)], no_speech=0.1)
    second = _window(
        [TimedWord(" not.", 30.1, 30.5, 1.0), TimedWord(" Why", 30.6, 31.0, 1.0)], (30.0, 60.0), no_speech=0.2
    )

    segments = segments_of([first, second])

    assert [(one.text, one.no_speech_prob) for one in segments] == [("Ask not.", 0.1), ("Why", 0.2)]


def test_words_of_two_windows_are_kept_once() -> None:
    first = _window(
        [TimedWord(text, n, n + 1, 1.0) for n, text in ((26, " one"), (27, " two"), (28, " three"), (29, " fo"))]
    )
    words = [
        TimedWord(text, n + 0.1, n + 1.1, 1.0)
        for n, text in ((27, " wo"), (28, " three"), (29, " four"), (30, " five"))
    ]

    (segment,) = segments_of([first, _window(words, (27.0, 57.0))])

    assert segment.text == "one two three four five"
    times_s = [edge for one in segment.words for edge in (one.start, one.end)]
    assert times_s == sorted(times_s)


@pytest.mark.parametrize(("text", "kept"), [(" end.", (0.0, MAX_WORD_S)), (" begin", (3.0, 3.0 + MAX_WORD_S))])
def test_a_word_that_contains_a_pause_is_shortened_on_its_side(text: str, kept: tuple[float, float]) -> None:
    long = TimedWord(text, 0.0, 3.0 + MAX_WORD_S, 1.0)
    short = [TimedWord(" x", 0.0, 0.0, 1.0)] * 3

    *_, shortened = without_pauses([*short, long])

    assert (shortened.start_s, shortened.end_s) == pytest.approx(kept)
