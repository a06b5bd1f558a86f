"""Parts of characters never reach a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.whole_characters import whole_characters

CITY = "市".encode()


def _text(*tokens: bytes) -> str:
    kept = whole_characters(range(len(tokens)), tokens.__getitem__)
    return b"".join(tokens[number] for number in kept).decode()


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([b" a", CITY[:1], CITY[1:2], CITY[2:], b"b"], " a市b"),
        ([b" a", CITY[:2]], " a"),
        ([CITY[1:], b" a"], " a"),
        ([CITY[:1], b" a", CITY], " a市"),
        ([CITY[:2], CITY[:1], CITY[1:]], "市"),
        ([b"\xff", b" a"], " a"),
        (["\ufffd".encode(), b" a"], " a"),
        ([b"\xf0\x9f", b"\x8e\x89", b"!"], "🎉!"),
        ([b"\xed\xa0\x80", b"x"], "x"),
        ([], ""),
    ],
)
def test_only_whole_characters_are_kept(tokens: list[bytes], text: str) -> None:
    assert _text(*tokens) == text


@given(st.lists(st.binary(min_size=1, max_size=4), max_size=12))
def test_any_tokens_give_text(tokens: list[bytes]) -> None:
    assert "\ufffd" not in _text(*tokens)


@given(st.text(st.characters(exclude_characters="\ufffd", exclude_categories=["Cs"])), st.integers(1, 3))
def test_text_is_unchanged_wherever_tokens_divide_it(text: str, size: int) -> None:
    data = text.encode()
    assert _text(*(data[start : start + size] for start in range(0, len(data), size))) == text
