"""Whisper's own checks of a decoded text, and what follows when it fails them; the same for every library.

As in Radford et al. 2022 (section 4.5): greedy first, then by sampling at rising temperatures, until the checks pass.
"""

import zlib
from typing import Protocol, TypeVar

import msgspec
import torch
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.transcriber import FloatArray

MAX_COMPRESSION_RATIO = 2.4  # above, it repeats itself
MIN_LOG_PROBABILITY = -1.0  # below, it is a guess
SILENT_FROM = 0.6  # probability of no speech; with a guess for a text, nothing was said
FALL_BACK_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
MAX_PROMPT_TOKENS = 223  # half of the decoder's context, less one, as Whisper was trained

Encoded = TypeVar("Encoded", torch.Tensor, FloatArray)  # encoded windows, shape (windows, frames, state)
Heard_contra = TypeVar("Heard_contra", torch.Tensor, FloatArray, contravariant=True)


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """The text of one window."""

    tokens: tuple[int, ...]
    text: str
    mean_log_probability: float
    no_speech_probability: float

    @property
    def compression_ratio(self) -> float:
        """How much shorter zlib makes the text: far above 2 for one that repeats itself."""
        data = self.text.encode()
        return len(data) / len(zlib.compress(data)) if data else 0.0

    @property
    def is_nothing(self) -> bool:
        """Whether the model itself takes it for silence."""
        return self.no_speech_probability > SILENT_FROM and self.mean_log_probability < MIN_LOG_PROBABILITY

    @property
    def is_doubtful(self) -> bool:
        """Whether it fails a check, so that another attempt may do better."""
        repeats = self.compression_ratio > MAX_COMPRESSION_RATIO
        return not self.is_nothing and (repeats or self.mean_log_probability < MIN_LOG_PROBABILITY)


NOTHING = Decoded(tokens=(), text="", mean_log_probability=0.0, no_speech_probability=1.0)


class Decoder(Protocol[Heard_contra]):
    """A model with one language, task and prompt."""

    def decode(self, features: Heard_contra, *, temperature: float = 0.0) -> list[Decoded]:
        """The texts of encoded windows: the likeliest, or drawn by chance at a temperature."""


def decode_reliably(decoder: Decoder[Encoded], features: Encoded) -> list[Decoded]:
    """Decode windows, those that are doubtful again; of attempts that all are, the one the model was surest of."""
    decoded = decoder.decode(features)
    for temperature in FALL_BACK_TEMPERATURES:
        doubtful = [number for number, one in enumerate(decoded) if one.is_doubtful]
        if not doubtful:
            break
        for number, again in zip(doubtful, decoder.decode(features[doubtful], temperature=temperature), strict=True):
            decoded[number] = min(decoded[number], again, key=_doubt)
    return [NOTHING if one.is_nothing else one for one in decoded]


def previous_tokens(tokenizer: Tokenizer, prompt: str | None) -> list[int]:
    """What stands before the start of a window, as if it had been said before: the end of the client's prompt."""
    told = tokenizer.encode(" " + prompt.strip())[-MAX_PROMPT_TOKENS:] if prompt else []
    return [tokenizer.sot_prev, *told] if told else []


def tokens_never_said(tokenizer: Tokenizer) -> list[int]:
    """Everything that is no text: special tokens, times, and signs for what is not speech."""
    return sorted({*tokenizer.non_speech_tokens, *range(tokenizer.eot + 1, tokenizer.encoding.n_vocab)})


def _doubt(decoded: Decoded) -> tuple[bool, bool, float]:
    repeats = decoded.compression_ratio > MAX_COMPRESSION_RATIO
    return decoded.is_doubtful, repeats, -decoded.mean_log_probability
