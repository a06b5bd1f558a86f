"""No word is doubled or lost where two transcripts overlap."""

from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.seam import SpokenWord, find_seam

TEXTS = [f"w{n}" for n in range(20)]
CUT_S = 10.0


def _words(texts: list[str], start_s: float = 0.0, *, late_s: float = 0.0) -> list[SpokenWord]:
    return [SpokenWord(text, start_s + n + late_s, start_s + n + 0.9 + late_s) for n, text in enumerate(texts)]


def _joined(first: list[SpokenWord], second: list[SpokenWord]) -> list[str]:
    kept, left_out = find_seam(first, second, CUT_S)
    return [word.text for word in [*first[:kept], *second[left_out:]]]


@given(st.integers(10, 14), st.integers(6, 9), st.floats(-0.3, 0.3), st.data())
def test_every_word_is_kept_once_though_the_transcripts_differ(
    first_until: int, second_from: int, late_s: float, data: st.DataObject
) -> None:
    first = _words(TEXTS[:first_until])
    second = _words(TEXTS[second_from:], second_from, late_s=late_s)
    different = data.draw(st.sets(st.integers(second_from, first_until - 1), max_size=2))
    second = [
        word._replace(text="???") if number + second_from in different else word for number, word in enumerate(second)
    ]

    joined = _joined(first, second)

    assert len(joined) == len(TEXTS)
    assert all(word in (text, "???") for word, text in zip(joined, TEXTS, strict=True))


def test_case_and_punctuation_are_ignored() -> None:
    first = _words(["so", "Ask", "not"], 8)
    second = _words([" ask,", "not", "what"], 9)

    assert _joined(first, second) == ["so", "Ask", "not", "what"]


def test_a_word_with_two_spellings_is_neither_doubled_nor_lost() -> None:
    first = [SpokenWord("a", 8.0, 8.5), SpokenWord("colour", 9.6, 10.3)]
    early = [SpokenWord("color", 9.7, 10.4), SpokenWord("b", 10.5, 11.0)]
    late = [SpokenWord("kolor", 9.5, 10.2), SpokenWord("b", 10.5, 11.0)]

    assert _joined(first, early) in (["a", "colour", "b"], ["a", "color", "b"])
    assert _joined(first, late) in (["a", "colour", "b"], ["a", "kolor", "b"])


def test_transcripts_that_meet_in_a_pause_are_unchanged() -> None:
    assert _joined(_words(["a", "a"], 7), _words(["a", "a"], 11)) == ["a", "a", "a", "a"]


def test_one_side_may_be_empty() -> None:
    assert find_seam([], _words(["a"]), CUT_S) == (0, 0)
    assert find_seam(_words(["a"]), [], CUT_S) == (1, 0)
