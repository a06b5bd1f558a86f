"""Segments are sentences; pauses and length divide them too."""

import pytest

from processor_service.transcribers.segments import PAUSE_S, HeardWindow, TimedWord, segments_of
from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.word_times import LONGEST_WORD_S, without_pauses


def _words(*texts: str, step_s: float = 0.5) -> list[TimedWord]:
    return [TimedWord(text, n * step_s, (n + 1) * step_s, 0.5) for n, text in enumerate(texts)]


def _heard(words: list[TimedWord], span: Span = (0.0, 30.0), *, no_speech: float = 0.1) -> HeardWindow:
    return HeardWindow(span=span, words=words, no_speech_probability=no_speech)


def _texts(words: list[TimedWord]) -> list[str]:
    return [one.text for one in segments_of([_heard(words)])]


def test_each_sentence_is_a_segment() -> None:
    assert _texts(_words(" Ask", " not.", " Why", " not?", " So")) == ["Ask not.", "Why not?", "So"]


def test_a_pause_divides() -> None:
    words = [TimedWord(" a", 0.0, 0.5, 1.0), TimedWord(" b", 0.5 + PAUSE_S, 2.0, 1.0)]
    assert _texts(words) == ["a", "b"]


def test_a_sentence_without_end_is_divided_at_a_comma() -> None:
    words = _words(*[" la"] * 31, " then,", " on")
    assert len(_texts(words)) == 2


def test_languages_without_spaces_stay_so() -> None:
    assert _texts(_words("今日", "は。", "雨")) == ["今日は。", "雨"]


def test_a_segment_tells_its_times_and_how_sure_it_is() -> None:
    (segment,) = segments_of([_heard(_words(" a", " b"), no_speech=0.25)])

    assert (segment.start, segment.end, [one.word for one in segment.words]) == (0.0, 1.0, ["a", "b"])
    assert (segment.confidence, segment.no_speech_prob) == (0.5, 0.25)


def test_nothing_said_is_no_segment() -> None:
    assert segments_of([]) == segments_of([_heard([])]) == []


def test_a_sentence_goes_on_in_the_next_window() -> None:
    first = _heard([TimedWord(" Ask", 29.0, 29.5, 1.0)], no_speech=0.1)
    second = _heard(
        [TimedWord(" not.", 30.1, 30.5, 1.0), TimedWord(" Why", 30.6, 31.0, 1.0)], (30.0, 60.0), no_speech=0.2
    )

    segments = segments_of([first, second])

    assert [(one.text, one.no_speech_prob) for one in segments] == [("Ask not.", 0.1), ("Why", 0.2)]


def test_what_two_windows_hear_is_said_once() -> None:
    first = _heard(
        [TimedWord(text, n, n + 1, 1.0) for n, text in ((26, " one"), (27, " two"), (28, " three"), (29, " fo"))]
    )
    words = [
        TimedWord(text, n + 0.1, n + 1.1, 1.0)
        for n, text in ((27, " wo"), (28, " three"), (29, " four"), (30, " five"))
    ]

    (segment,) = segments_of([first, _heard(words, (27.0, 57.0))])

    assert segment.text == "one two three four five"
    times_s = [edge for one in segment.words for edge in (one.start, one.end)]
    assert times_s == sorted(times_s)


@pytest.mark.parametrize(("text", "kept"), [(" end.", (0.0, LONGEST_WORD_S)), (" begin", (3.0, 3.0 + LONGEST_WORD_S))])
def test_a_word_that_holds_a_pause_is_shortened_on_the_side_of_the_pause(text: str, kept: tuple[float, float]) -> None:
    long = TimedWord(text, 0.0, 3.0 + LONGEST_WORD_S, 1.0)
    usual = [TimedWord(" x", 0.0, 0.0, 1.0)] * 3

    *_, shortened = without_pauses([*usual, long])

    assert (shortened.start_s, shortened.end_s) == pytest.approx(kept)
