"""A client's prompt is text, whatever it looks like."""

import pytest
import whisper
from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.prompt import (
    MAX_PROMPT_TOKENS,
    SENTENCES,
    is_too_long,
    preceding_text,
    previous_tokens,
    repeats_sentence,
)

ENGLISH = whisper.tokenizer.get_tokenizer(multilingual=False)
MULTILINGUAL = whisper.tokenizer.get_tokenizer(multilingual=True)
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|0.00|>", "<|nospeech|>", "<|en|>", "<|startofprev|>"]


@pytest.mark.parametrize("tokenizer", [ENGLISH, MULTILINGUAL], ids=["english", "multilingual"])
@pytest.mark.parametrize("prompt", [*SPECIAL, "Notes on <|endoftext|> and <|startoftranscript|>", "".join(SPECIAL)])
def test_the_name_of_a_special_token_is_text(tokenizer: whisper.tokenizer.Tokenizer, prompt: str) -> None:
    before, *tokens = previous_tokens(tokenizer, prompt)

    assert before == tokenizer.sot_prev
    assert max(tokens) < tokenizer.eot
    assert tokenizer.decode(tokens) == f" {prompt}"


@given(st.text(max_size=300))
def test_any_text_gives_tokens_of_text(prompt: str) -> None:
    tokens = previous_tokens(MULTILINGUAL, prompt)[1:]

    assert len(tokens) <= MAX_PROMPT_TOKENS
    assert all(token < MULTILINGUAL.eot for token in tokens)
    assert "\ufffd" in prompt or "\ufffd" not in MULTILINGUAL.decode(tokens)


@pytest.mark.parametrize("prompt", [None, "", " \t\n", "\u3000"])
def test_a_blank_prompt_is_none(prompt: str | None) -> None:
    assert previous_tokens(ENGLISH, prompt) == []


@pytest.mark.parametrize("end", [" Kennedy", "肯尼迪", "🎉"])
def test_of_a_long_prompt_the_end_is_kept(end: str) -> None:
    prompt = end * 3000

    tokens = previous_tokens(ENGLISH, prompt)[1:]

    assert is_too_long(ENGLISH, prompt)
    assert not is_too_long(ENGLISH, end)
    assert prompt.endswith(ENGLISH.decode(tokens))
    assert len(tokens) > MAX_PROMPT_TOKENS - 4


def test_a_sentence_precedes_languages_that_need_one_unless_there_is_a_prompt() -> None:
    assert preceding_text(None, "zh") == preceding_text(" ", "zh") == SENTENCES["zh"]
    assert preceding_text("肯尼迪", "zh") == "肯尼迪"
    assert preceding_text(None, "en") is None


def test_the_repeated_sentence_is_recognized() -> None:
    assert repeats_sentence(SENTENCES["ja"])
    assert repeats_sentence(SENTENCES["zh"].strip("。"))
    assert not repeats_sentence("打开客厅的灯。")
    assert not repeats_sentence("")
