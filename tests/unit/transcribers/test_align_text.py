"""The words of a known text get the times of what was heard."""

import random
import time

import pytest

from processor_service.transcribers.align_text import align_text
from processor_service.transcribers.match_words import likeness, match_words
from shared.schemas.transcript import Segment, Transcript, WarningCode, Word

SPOKEN = "And so my fellow Americans, ask not what your country can do for you."


def heard(text: str, *, confidence: float = 0.9, language: str = "en", from_s: float = 1.0) -> Transcript:
    """Half a second a word."""
    words = tuple(
        Word(word=word, start=from_s + number / 2, end=from_s + number / 2 + 0.4, confidence=confidence)
        for number, word in enumerate(text.split())
    )
    segment = Segment(
        id=0, start=words[0].start, end=words[-1].end, text=text, confidence=0.9, no_speech_prob=0.0, words=words
    )
    return Transcript(text=text, language=language, duration=words[-1].end + 1, segments=(segment,))


def words_of(transcript: Transcript) -> list[Word]:
    return [word for segment in transcript.segments for word in segment.words]


def test_the_text_is_kept_as_it_is_written_with_the_times_of_what_was_heard() -> None:
    script = "AND SO, my fellow Americans:\nask not — what your country can do for YOU!"
    found = align_text(heard(SPOKEN), script)

    words = words_of(found)
    expected = "AND SO, my fellow Americans: ask not — what your country can do for YOU!"
    assert found.text == expected
    assert [word.word for word in words] == expected.replace(" —", "\0—").replace(" ", "\n").replace("\0", " ").split(
        "\n"
    )
    assert [(word.start, word.end, word.confidence) for word in words] == [
        (word.start, word.end, word.confidence) for word in words_of(heard(SPOKEN))
    ]
    assert found.warnings == ()


def test_words_that_were_heard_as_others_have_their_time() -> None:
    found = align_text(heard("the colour of forty two printed bibles"), "The color of 42 printed Bibles")

    times = {word.word: (word.start, word.end) for word in words_of(found)}
    assert times["color"] == (1.5, 1.9)
    assert times["42"] == (2.5, 3.4)
    assert times["Bibles"] == (4.0, 4.4)
    assert 0 < next(word.confidence for word in words_of(found) if word.word == "42") < 0.9
    assert found.warnings == ()


def test_text_that_is_not_spoken_is_interpolated_and_named() -> None:
    script = (
        "And so my fellow Americans, whom I greet with all my heart today, ask not what your country can do for you."
    )
    found = align_text(heard(SPOKEN), script)

    (warning,) = found.warnings
    assert warning.code == WarningCode.TEXT_NOT_SPOKEN
    assert "words 5 to 12" in warning.message
    words = words_of(found)
    assert [word.confidence == 0 for word in words] == [5 <= number <= 12 for number in range(len(words))]
    assert all(3.4 <= word.start <= word.end <= 3.5 for word in words[5:13])
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)


def test_speech_that_is_not_in_the_text_is_reported() -> None:
    found = align_text(heard("hello and welcome to this show " + SPOKEN), SPOKEN)

    (warning,) = found.warnings
    assert (warning.code, warning.start, warning.end) == (WarningCode.SPEECH_NOT_IN_TEXT, 1.0, 3.9)
    assert words_of(found)[0].start == 4.0


def test_another_text_has_both_warnings() -> None:
    found = align_text(
        heard(SPOKEN), "Quarks, leptons; bosons interact weakly through gauge symmetries in nature today"
    )
    assert {one.code for one in found.warnings} == {WarningCode.TEXT_NOT_SPOKEN, WarningCode.SPEECH_NOT_IN_TEXT}


def test_chinese_is_matched_by_characters() -> None:
    spoken = heard("今天 天氣 很好", language="zh")
    found = align_text(spoken, "今天天氣很好。")
    assert found.text == "今天天氣很好。"
    assert (words_of(found)[0].start, words_of(found)[-1].end) == (1.0, 2.4)
    assert found.warnings == ()


@pytest.mark.parametrize("text", ["…", " \n ", "— — —"])
def test_a_text_without_words_changes_nothing(text: str) -> None:
    assert align_text(heard(SPOKEN), text) == heard(SPOKEN)


def test_a_long_text_with_errors_is_matched() -> None:
    """Every tenth word is another, every twentieth is missing."""
    rng = random.Random(0)
    vocabulary = [
        "the",
        "of",
        "and",
        *(f"{a}{b}" for a in "ka lo mi ne ru ta vo zu".split() for b in "bra den fol gis hup".split()),
    ]
    script = [rng.choice(vocabulary) for _ in range(8000)]
    said = [(number, word) for number, word in enumerate(script) if number % 20]
    said = [(number, "xxx" if number % 10 == 5 else word) for number, word in said]

    pairs = match_words(script, [word for _, word in said])

    right = sum(1 for one, two in pairs if said[two][0] == one)
    assert right > 0.8 * len(script)
    assert right > 0.98 * len(pairs)


def test_hostile_texts_are_matched_in_bounded_time() -> None:
    began_s = time.process_time()
    match_words(["a"] * 25_000, ["a", "b"] * 10_000)
    match_words([f"w{number % 7}" for number in range(25_000)], [f"w{number % 11}" for number in range(20_000)])
    assert time.process_time() - began_s < 60  # of CPU; without bounds, hours


def test_likeness_counts_letters_at_both_ends() -> None:
    assert likeness("color", "colour") == 5 / 6
    assert likeness("a", "b") == 0
    assert likeness("abc", "abc") == 1
