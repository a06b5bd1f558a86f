"""Where two transcripts overlap, no word is doubled and none is lost."""

from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.seam import SpokenWord, find_seam

TEXTS = [f"w{n}" for n in range(20)]
CUT_S = 10.0


def _said(texts: list[str], start_s: float = 0.0, *, late_s: float = 0.0) -> list[SpokenWord]:
    return [SpokenWord(text, start_s + n + late_s, start_s + n + 0.9 + late_s) for n, text in enumerate(texts)]


def _joined(first: list[SpokenWord], second: list[SpokenWord]) -> list[str]:
    kept, left_out = find_seam(first, second, CUT_S)
    return [word.text for word in [*first[:kept], *second[left_out:]]]


@given(st.integers(10, 14), st.integers(6, 9), st.floats(-0.3, 0.3), st.data())
def test_every_word_is_kept_once_though_the_hearings_differ(
    first_until: int, second_from: int, late_s: float, data: st.DataObject
) -> None:
    first = _said(TEXTS[:first_until])
    second = _said(TEXTS[second_from:], second_from, late_s=late_s)
    misheard = data.draw(st.sets(st.integers(second_from, first_until - 1), max_size=2))
    second = [
        word._replace(text="???") if number + second_from in misheard else word for number, word in enumerate(second)
    ]

    joined = _joined(first, second)

    assert len(joined) == len(TEXTS)
    assert all(said in (text, "???") for said, text in zip(joined, TEXTS, strict=True))


def test_case_and_punctuation_do_not_make_another_word() -> None:
    first = _said(["so", "Ask", "not"], 8)
    second = _said([" ask,", "not", "what"], 9)

    assert _joined(first, second) == ["so", "Ask", "not", "what"]


def test_a_word_cut_in_two_hearings_of_nothing_alike_is_neither_doubled_nor_lost() -> None:
    first = [SpokenWord("a", 8.0, 8.5), SpokenWord("colour", 9.6, 10.3)]
    early = [SpokenWord("color", 9.7, 10.4), SpokenWord("b", 10.5, 11.0)]
    late = [SpokenWord("kolor", 9.5, 10.2), SpokenWord("b", 10.5, 11.0)]

    assert _joined(first, early) in (["a", "colour", "b"], ["a", "color", "b"])
    assert _joined(first, late) in (["a", "colour", "b"], ["a", "kolor", "b"])


def test_what_meets_in_a_pause_is_left_as_it_is() -> None:
    assert _joined(_said(["a", "a"], 7), _said(["a", "a"], 11)) == ["a", "a", "a", "a"]


def test_one_side_may_be_silent() -> None:
    assert find_seam([], _said(["a"]), CUT_S) == (0, 0)
    assert find_seam(_said(["a"]), [], CUT_S) == (1, 0)
