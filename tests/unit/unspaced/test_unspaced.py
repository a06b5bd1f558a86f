"""Words and joins of scripts without spaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.unspaced import divide_words, joined_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("打开客厅的灯。", ["打开", "客厅", "的", "灯。"]),
        ("我们今天下午去图书馆看书", ["我们", "今天下午", "去", "图书馆", "看书"]),
        ("他说「你好」。", ["他", "说", "「你好」。"]),
        ("你好!ok", ["你好!", "ok"]),
        ("電気をつけて。", ["電気", "を", "つけ", "て。"]),
        ("Custom Speech には", ["Custom", " Speech", " に", "は"]),
        ("เปิดไฟ", ["เปิด", "ไฟ"]),
        ("거실 불 켜줘.", ["거실", " 불", " 켜줘."]),
        ('She said "3.14"', ["She", " said", ' "3.14"']),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert divide_words(text) == words


@given(st.text(st.sampled_from("打开的灯つけてไฟab .,「」。ສະ\u200b"), max_size=20))
def test_the_words_together_are_the_text(text: str) -> None:
    words = divide_words(text)
    assert "".join(words) == text
    assert "" not in words


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["打开灯。", "我们"], "打开灯。我们"),
        (["打开灯,", "我们"], "打开灯,我们"),
        (["Hello.", "你好。", "So"], "Hello. 你好。 So"),
        (["거실", "불"], "거실 불"),
        (["ask not", "", "what"], "ask not what"),
        (["สวัสดี", "ครับ"], "สวัสดี ครับ"),
        ([], ""),
    ],
)
def test_segments_are_joined_with_spaces_where_the_script_has_them(texts: list[str], joined: str) -> None:
    assert joined_text(texts) == joined
