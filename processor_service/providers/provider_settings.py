"""What the operator says of one provider: `HEADRACE_PROVIDER_<NAME>_URL` and so on, a set for each name."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from shared.settings import Secret

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
NOT_NAMES = frozenset({"none", "scripted"})  # in a result, a name says who transcribed; other engines' have a dash
HEADER_VALUE = re.compile(r"[\x21-\x7e]*")

# A FLAC frame of 16-bit mono is never larger than its samples and a header; 4096 samples are a frame.
FLAC_BYTES_PER_S = 2 * 16_000 + 16_000 / 4096 * 20
BESIDES_AUDIO_BYTES = 64 << 10  # the file's header, the other fields of the form
SHORTEST_PIECE_S = 30.0  # so long may a window of speech be
PIECE_WITHOUT_TIMES_S = 30.0  # then the place of a piece is all that is known of when its text was said


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider; the job's options that concern it are in `shared.schemas.options`."""

    name: str
    url: str  # up to what comes before `/audio/transcriptions`
    model: str  # as the provider calls it
    key: Secret = Secret("")  # empty: none is sent
    times: Literal["words", "segments", "none"] = "words"  # that it can tell
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 25 << 20  # of a request
    max_seconds: Annotated[float, msgspec.Meta(ge=SHORTEST_PIECE_S)] = 600.0  # of audio in a request
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0  # for a request and its whole answer
    silence_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0  # without a byte of the answer
    failures: Annotated[int, msgspec.Meta(ge=1)] = 5  # in a row; then it is left alone for …
    cool_down_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0  # … so long, and tried with one request

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in NOT_NAMES:
            raise ValueError("names are small letters, digits and _, beginning with a letter")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("the URL is http:// or https://, a host and at most a port and a path")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("the URL holds no credentials, query or fragment")
        if not self.model:
            raise ValueError("the model is not named")
        if not HEADER_VALUE.fullmatch(self.key.reveal()):
            raise ValueError("the key holds what no HTTP header may")

    def address(self, task: Literal["transcribe", "translate"]) -> str:
        """Where a request goes."""
        return f"{self.url.rstrip('/')}/audio/{'transcriptions' if task == 'transcribe' else 'translations'}"

    @property
    def longest_piece_s(self) -> float:
        """How much audio a request may bring, whatever the audio is."""
        longest_s = min(self.max_seconds, (self.max_bytes - BESIDES_AUDIO_BYTES) / FLAC_BYTES_PER_S)
        return min(longest_s, PIECE_WITHOUT_TIMES_S) if self.times == "none" else longest_s
