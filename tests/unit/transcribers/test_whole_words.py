"""Words of scripts without spaces, from characters with times."""

import pytest

from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.whole_words import whole_words


def _units(*texts: str) -> list[TimedWord]:
    return [TimedWord(text, float(n), n + 1.0, 1.0) for n, text in enumerate(texts)]


def test_characters_become_words() -> None:
    words = whole_words(_units("打", "开", "客", "厅", "的", "灯", "。"))
    assert [(one.text, one.start_s, one.end_s) for one in words] == [
        ("打开", 0, 2),
        ("客厅", 2, 4),
        ("的", 4, 5),
        ("灯。", 5, 7),
    ]


def test_a_unit_of_two_words_is_divided_with_its_time() -> None:
    words = whole_words(
        [TimedWord("打", 0.0, 1.0, 0.5), TimedWord("开客", 1.0, 3.0, 1.0), TimedWord("厅", 3.0, 4.0, 0.0)]
    )
    assert [(one.text, one.start_s, one.end_s) for one in words] == [("打开", 0, 2), ("客厅", 2, 4)]
    assert [one.probability for one in words] == pytest.approx([0.75, 0.5])


def test_a_pause_between_units_stays_a_pause() -> None:
    first, second = whole_words([TimedWord("灯", 0.0, 1.0, 1.0), TimedWord("打开", 3.0, 4.0, 1.0)])
    assert (first.end_s, second.start_s) == (1.0, 3.0)


def test_parts_of_english_words_in_japanese_are_joined() -> None:
    assert [one.text for one in whole_words(_units("Custom", " Spe", "ech", " に", "は"))] == [
        "Custom",
        " Speech",
        " に",
        "は",
    ]


def test_words_of_scripts_with_spaces_are_unchanged() -> None:
    words = _units(" ask", " not,", " d'accord")
    assert whole_words(words) == words
