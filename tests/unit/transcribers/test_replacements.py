"""Replacements write whole words and phrases, in the case of what was said, and keep times."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.replacements import Replacements
from shared.schemas.transcript import Segment, Transcript, Word

Timed = tuple[str, float, float]


def segment(*words: str, text: str | None = None) -> Segment:
    timed = tuple(Word(word=one, start=float(at), end=at + 1.0, confidence=0.5) for at, one in enumerate(words))
    spoken = " ".join(words) if text is None else text
    return Segment(id=0, start=0.0, end=float(len(words)), text=spoken, confidence=0.5, no_speech_prob=0.0, words=timed)


def replaced(replacements: dict[str, str], spoken: Segment) -> tuple[str, list[Timed]]:
    (got,) = Replacements(replacements).of_segments([spoken])
    return got.text, [(one.word, one.start, one.end) for one in got.words]


@pytest.mark.parametrize(
    ("replacements", "text", "written"),
    [
        ({"ford": "Ford"}, "A ford and a FORD.", "A Ford and a Ford."),
        ({"color": "colour"}, "Color, color, COLOR!", "Colour, colour, COLOUR!"),
        ({"ford": "Ford"}, "afford fords ford's ford-like", "afford fords Ford's Ford-like"),
        ({"head race": "Headrace"}, "Head  race, head race", "Headrace, Headrace"),
        ({"new york": "NY", "new": "old"}, "new york is new", "NY is old"),
        ({"a": "b", "b": "c"}, "a b", "b c"),
        ({"straße": "Weg"}, "Die STRASSE, die Straße", "Die STRASSE, die Weg"),
        ({".net": "dotnet"}, "On .NET here", "On DOTNET here"),
        ({"東京": "京都"}, "私は東京に行く", "私は京都に行く"),
        ({"ford": "Ford"}, "我的ford车", "我的Ford车"),
        ({"a.c": "x"}, "abc a.c", "abc x"),
        ({"&": "and"}, "You & me, R&D", "You and me, RandD"),
        ({"®": "(R)", "\u00a0": "x"}, "Acme®\u00a0is ®", "Acme(R)\u00a0is (R)"),
        ({"...": "…"}, "Well... a.b", "Well… a.b"),
        ({"🙂": "smile"}, "Hi 🙂🙂", "Hi smilesmile"),
    ],
)
def test_words_are_found_as_a_whole(replacements: dict[str, str], text: str, written: str) -> None:
    assert Replacements(replacements).of_text(text) == written


def test_several_words_become_one_with_the_time_of_all() -> None:
    assert replaced({"head race": "Headrace"}, segment("The", "head", "race,", "yes")) == (
        "The Headrace, yes",
        [("The", 0.0, 1.0), ("Headrace,", 1.0, 3.0), ("yes", 3.0, 4.0)],
    )


def test_one_word_becomes_several_that_share_its_time() -> None:
    assert replaced({"ibm": "I B M"}, segment("An", "IBM.")) == (
        "An I B M.",
        [("An", 0.0, 1.0), ("I", 1.0, 1.25), ("B", 1.25, 1.5), ("M.", 1.5, 2.0)],
    )


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\x85"])
def test_a_blank_leaves_a_word_out(blank: str) -> None:
    text, words = replaced({"um": blank}, segment("Well", "um", "yes"))
    assert text.split() == ["Well", "yes"]
    assert words == [("Well", 0.0, 1.0), ("yes", 2.0, 3.0)]


def test_text_without_spaces_is_divided_again() -> None:
    text, words = replaced({"東京": "京都府"}, segment("私は", "東", "京に", "行く", text="私は東京に行く"))
    assert text == "私は京都府に行く"
    assert "".join(word for word, _, _ in words) == text
    assert (words[0], words[-1]) == (("私は", 0.0, 1.0), ("行く", 3.0, 4.0))


def test_words_that_are_not_in_the_text_are_replaced_too() -> None:
    assert replaced({"ford": "Ford"}, segment("a", "ford", text="A ford, they said")) == (
        "A Ford, they said",
        [("a", 0.0, 1.0), ("Ford", 1.0, 2.0)],
    )


def test_nothing_found_changes_nothing() -> None:
    spoken = segment("No", "names")
    transcript = Transcript(text="No names", language="en", duration=2.0, segments=(spoken,))
    assert Replacements({"ford": "Ford"}).of_transcript(transcript) is transcript
    assert Replacements({}).of_transcript(transcript) is transcript


WORDS = st.text(st.sampled_from("ab. 東京"), min_size=1, max_size=6).map(str.strip)


@given(
    st.dictionaries(WORDS.filter(bool), WORDS.filter(bool), max_size=4),
    st.lists(WORDS.filter(lambda one: one != "" and " " not in one), min_size=1, max_size=8),
)
def test_times_stay_in_order_within_the_segment(replacements: dict[str, str], words: list[str]) -> None:
    text, got = replaced(replacements, segment(*words))
    assert "".join(word for word, _, _ in got).replace(" ", "") == text.replace(" ", "")
    edges = [edge for _, start, end in got for edge in (start, end)]
    assert edges == sorted(edges)
    assert 0 <= edges[0] <= edges[-1] <= len(words)


def test_a_thousand_replacements_of_a_day_of_speech_take_seconds() -> None:
    replacements = Replacements({f"word{number} again": "x" for number in range(1000)})
    began_s = time.process_time()
    replacements.of_text("word1 and other words " * 50_000)
    assert time.process_time() - began_s < 20
