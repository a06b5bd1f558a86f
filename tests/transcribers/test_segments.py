"""Segments are sentences; pauses and length divide them too."""

import pytest

from processor_service.transcribers.segments import PAUSE_S, TimedWord, segments_of
from processor_service.transcribers.whisper_align import LONGEST_WORD_S, without_pauses


def _words(*texts: str, step_s: float = 0.5) -> list[TimedWord]:
    return [TimedWord(text, n * step_s, (n + 1) * step_s, 0.5) for n, text in enumerate(texts)]


def _texts(words: list[TimedWord]) -> list[str]:
    return [one.text for one in segments_of(words, no_speech_probability=0.1, keep_words=True)]


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
    (segment,) = segments_of(_words(" a", " b"), no_speech_probability=0.25, keep_words=False)

    assert (segment.start, segment.end, segment.words) == (0.0, 1.0, ())
    assert (segment.confidence, segment.no_speech_prob) == (0.5, 0.25)


def test_nothing_said_is_no_segment() -> None:
    assert segments_of([], no_speech_probability=1.0, keep_words=True) == []


@pytest.mark.parametrize(("text", "kept"), [(" end.", (0.0, LONGEST_WORD_S)), (" begin", (3.0, 3.0 + LONGEST_WORD_S))])
def test_a_word_that_holds_a_pause_is_shortened_on_the_side_of_the_pause(text: str, kept: tuple[float, float]) -> None:
    long = TimedWord(text, 0.0, 3.0 + LONGEST_WORD_S, 1.0)
    usual = [TimedWord(" x", 0.0, 0.0, 1.0)] * 3

    *_, shortened = without_pauses([*usual, long])

    assert (shortened.start_s, shortened.end_s) == pytest.approx(kept)
