"""The settings of one chat provider: `HEADRACE_CHAT_PROVIDER_<NAME>_URL` and so on."""

from typing import Annotated, Literal

import msgspec

from processor_service.providers.provider_settings import NAME, require_endpoint
from shared.secret import Secret

INSTRUCTION_TOKENS = 1500  # of a request, besides the transcript: instructions, schema and chat template


class ChatProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider of OpenAI's `/chat/completions`."""

    name: str
    url: str  # without `/chat/completions`
    model: str  # the provider's name of it
    key: Secret = Secret("")  # empty: no key is sent
    format: Literal["json_schema", "json_object", "text"] = "json_schema"  # of answers, that the provider can enforce
    context_tokens: Annotated[int, msgspec.Meta(ge=4096)] = 16_384  # of a request and its answer
    answer_tokens: Annotated[int, msgspec.Meta(ge=512)] = 2048  # of an answer
    limit: Literal["max_tokens", "max_completion_tokens", "none"] = "max_tokens"  # the field that limits an answer
    at_once: Annotated[int, msgspec.Meta(ge=1)] = 4  # concurrent requests of a process
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 180.0  # for a request and its complete answer
    failures: Annotated[int, msgspec.Meta(ge=1)] = 5  # consecutive; then the breaker opens
    cool_down_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0  # before one request probes the provider

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError("names have small letters, digits and _, and begin with a letter")
        require_endpoint(self.url, self.model, self.key)
        if self.text_tokens < 1024:
            raise ValueError("CONTEXT_TOKENS must exceed ANSWER_TOKENS by at least 2524")

    @property
    def address(self) -> str:
        """The URL of a request."""
        return f"{self.url.rstrip('/')}/chat/completions"

    @property
    def text_tokens(self) -> int:
        """The tokens of a request that a transcript may use."""
        return self.context_tokens - self.answer_tokens - INSTRUCTION_TOKENS
