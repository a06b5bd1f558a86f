"""The patterns of corrections in the OpenAPI document accept the text that the service accepts."""

import re

import pytest

from ingest_service.openapi.edits import NAME_PATTERN, TEXT_PATTERN
from shared.schemas.transcript_edits import is_text, require_name

BASIC = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]  # without surrogates


def is_name(text: str) -> bool:
    try:
        require_name(text)
    except ValueError:
        return False
    return True


def matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


@pytest.mark.parametrize("form", ["{}", "a{}", "{}a", " {} "])
def test_every_character_of_16_bits(form: str) -> None:
    texts = [form.format(char) for char in BASIC]
    assert [text for text in texts if matches(TEXT_PATTERN, text) != is_text(text)] == []
    assert [text for text in texts if matches(NAME_PATTERN, text) != is_name(text)] == []
