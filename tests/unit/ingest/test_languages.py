"""The names of Whisper's languages, and how clients and providers name them."""

import pytest
from whisper.tokenizer import LANGUAGES as OF_WHISPER
from whisper.tokenizer import TO_LANGUAGE_CODE

from shared.schemas.languages import NAMES, find_language


def test_the_table_is_that_of_whisper() -> None:
    assert NAMES == OF_WHISPER


def test_every_name_that_whisper_knows_is_found() -> None:
    assert {name: find_language(name) for name in TO_LANGUAGE_CODE} == TO_LANGUAGE_CODE


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"),
        ("English ", "en"),
        ("EN-us", "en"),
        ("pt_BR", "pt"),
        ("zh-Hant-TW", "zh"),
        ("haw", "haw"),
        ("haitian creole", "ht"),
        ("klingon", None),
        ("xx-en", None),
        ("", None),
    ],
)
def test_languages_are_found_by_code_locale_and_name(text: str, code: str | None) -> None:
    assert find_language(text) == code
