"""The text that precedes a window: the client's prompt, or a sentence in the language.

A prompt is text: `<|endoftext|>` in it stands for these characters, never for a special token of the model.
"""

from whisper.tokenizer import Tokenizer

from shared.schemas.transcript import ResultWarning, WarningCode

MAX_PROMPT_TOKENS = 223  # half of the decoder's context minus one, as in Whisper's training

PROMPT_SHORTENED = ResultWarning(
    code=WarningCode.PROMPT_SHORTENED,
    message=f"The prompt has more than the model's {MAX_PROMPT_TOKENS} tokens; only its end was used.",
)


# Without a preceding sentence, a model writes Chinese in either script and Japanese without punctuation, with more
# wrong characters: `base` has 13 % instead of 8 % on the dev clips of Japanese.
SENTENCES = {"ja": "次は日本語の文章です。", "zh": "以下是普通话的句子。"}


def preceding_text(prompt: str | None, language: str) -> str | None:
    """The client's prompt if it is not blank, else a sentence in languages that need one."""
    return prompt if prompt and prompt.strip() else SENTENCES.get(language)


def repeats_sentence(text: str) -> bool:
    """Whether the text of a window is only the sentence before it: the model heard no words."""
    return text.strip(" 。.") in {sentence.strip("。") for sentence in SENTENCES.values()}


def previous_tokens(tokenizer: Tokenizer, prompt: str | None) -> list[int]:
    """The tokens of the end of the prompt, before the start of a window; none for a blank prompt."""
    tokens = _tokens(tokenizer, prompt)[-MAX_PROMPT_TOKENS:]
    while tokens and _continues_character(tokenizer, tokens[0]):
        del tokens[0]
    return [tokenizer.sot_prev, *tokens] if tokens else []


def is_too_long(tokenizer: Tokenizer, prompt: str | None) -> bool:
    """Whether the model can take only the end of the prompt."""
    return len(_tokens(tokenizer, prompt)) > MAX_PROMPT_TOKENS


def _tokens(tokenizer: Tokenizer, prompt: str | None) -> list[int]:
    text = (prompt or "").strip()
    return list(tokenizer.encode(f" {text}", disallowed_special=())) if text else []


def _continues_character(tokenizer: Tokenizer, token: int) -> bool:
    """Whether a token begins inside a character, which UTF-8 encodes as several bytes."""
    first: int = tokenizer.encoding.decode_single_token_bytes(token)[0]
    return first & 0b1100_0000 == 0b1000_0000
