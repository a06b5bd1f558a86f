"""The settings of one provider: `HEADRACE_PROVIDER_<NAME>_URL` and so on."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from processor_service.transcribers.engines import ENGINES
from shared.secret import Secret

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
HEADER_VALUE = re.compile(r"[\x21-\x7e]*")

# A FLAC frame of 16-bit mono is at most its 4096 samples and a header of 20 bytes.
FLAC_BYTES_PER_S = 2 * 16_000 + 16_000 / 4096 * 20
BESIDES_AUDIO_BYTES = 64 << 10  # file header and other form fields
SHORTEST_PIECE_S = 30.0  # the maximum length of a window of speech
PIECE_WITHOUT_TIMES_S = 30.0  # without times, the position of the piece is the only time of its text


def require_endpoint(url: str, model: str, key: Secret) -> None:
    """Raise ValueError unless requests can be made with these settings of a provider."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("the URL needs http:// or https:// and a host; a port and a path are optional")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("the URL must not contain credentials, a query or a fragment")
    if not model:
        raise ValueError("the model is not set")
    if not HEADER_VALUE.fullmatch(key.reveal()):
        raise ValueError("the key contains characters that an HTTP header must not contain")


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider."""

    name: str
    url: str  # without `/audio/transcriptions`
    model: str  # the provider's name of it
    key: Secret = Secret("")  # empty: no key is sent
    times: Literal["words", "segments", "none"] = "words"  # that it returns
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 25 << 20  # of a request
    max_seconds: Annotated[float, msgspec.Meta(ge=SHORTEST_PIECE_S)] = 600.0  # of audio in a request
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0  # for a request and its complete answer
    silence_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0  # without any byte of the answer
    failures: Annotated[int, msgspec.Meta(ge=1)] = 5  # consecutive; then the breaker opens
    cool_down_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0  # before one request probes the provider

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in ENGINES:
            raise ValueError(
                "names have small letters, digits and _, begin with a letter and are not the name of a local engine"
            )
        require_endpoint(self.url, self.model, self.key)

    def address(self, task: Literal["transcribe", "translate"]) -> str:
        """The URL of a request."""
        return f"{self.url.rstrip('/')}/audio/{'transcriptions' if task == 'transcribe' else 'translations'}"

    @property
    def longest_piece_s(self) -> float:
        """The maximum audio of a request in seconds, at the least possible compression."""
        longest_s = min(self.max_seconds, (self.max_bytes - BESIDES_AUDIO_BYTES) / FLAC_BYTES_PER_S)
        return min(longest_s, PIECE_WITHOUT_TIMES_S) if self.times == "none" else longest_s
