"""Whisper's checks of decoded text, and the fallback when they fail.

As in Radford et al. 2022, section 4.5: decode greedily, then sample at rising temperatures until the checks pass.
"""

import zlib
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec
import torch
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.transcriber import FloatArray
from processor_service.transcribers.whole_characters import whole_characters

MAX_COMPRESSION_RATIO = 2.4  # above, the text repeats itself
MIN_LOG_PROBABILITY = -1.0  # below, the text is a guess
SILENT_FROM = 0.6  # probability of no speech above which a guess counts as silence
FALL_BACK_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)

Encoded = TypeVar("Encoded", torch.Tensor, FloatArray)  # encoded windows, shape (windows, frames, state)
Encoded_contra = TypeVar("Encoded_contra", torch.Tensor, FloatArray, contravariant=True)


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """The text of one window."""

    tokens: tuple[int, ...]
    text: str
    mean_log_probability: float
    no_speech_probability: float
    is_loop: bool = False  # decoding stopped because the last tokens repeat themselves

    @property
    def repeats(self) -> bool:
        """Whether the text repeats itself."""
        return self.is_loop or self.compression_ratio > MAX_COMPRESSION_RATIO

    @property
    def compression_ratio(self) -> float:
        """The length of the text over that of its zlib compression; far above 2 for repetitions."""
        data = self.text.encode()
        return len(data) / len(zlib.compress(data)) if data else 0.0

    @property
    def is_silence(self) -> bool:
        """Whether the model takes the window for silence."""
        return self.no_speech_probability > SILENT_FROM and self.mean_log_probability < MIN_LOG_PROBABILITY

    @property
    def is_doubtful(self) -> bool:
        """Whether the text fails a check, so that another attempt may be better."""
        return not self.is_silence and (self.repeats or self.mean_log_probability < MIN_LOG_PROBABILITY)


def decoded_text(tokenizer: Tokenizer, tokens: Sequence[int], mean_log_probability: float, no_speech: float) -> Decoded:
    """The text of a window from the model's tokens, without parts of characters."""
    whole = whole_characters(tokens, tokenizer.encoding.decode_single_token_bytes)
    return Decoded(
        tokens=tuple(whole),
        text=tokenizer.decode(whole).strip(),
        mean_log_probability=mean_log_probability,
        no_speech_probability=no_speech,
    )


SILENCE = Decoded(tokens=(), text="", mean_log_probability=0.0, no_speech_probability=1.0)


class Decoder(Protocol[Encoded_contra]):
    """A decoder for one language, task and prompt."""

    def decode(self, features: Encoded_contra, *, temperature: float = 0.0) -> list[Decoded]:
        """The texts of encoded windows: the likeliest, or sampled at a temperature."""


def decode_reliably(decoder: Decoder[Encoded], features: Encoded) -> list[Decoded]:
    """Decode windows, and doubtful ones again. If all attempts are doubtful, keep the most probable one."""
    decoded = decoder.decode(features)
    for temperature in FALL_BACK_TEMPERATURES:
        doubtful = [number for number, one in enumerate(decoded) if one.is_doubtful]
        if not doubtful:
            break
        for number, again in zip(doubtful, decoder.decode(features[doubtful], temperature=temperature), strict=True):
            decoded[number] = min(decoded[number], again, key=_doubt)
    return [SILENCE if one.is_silence else one for one in decoded]


def decode_with_prompt(prompted: Decoder[Encoded], plain: Decoder[Encoded], features: Encoded) -> list[Decoded]:
    """Decode windows after a prompt. A prompt may spoil the text, so doubtful windows are decoded without it, too."""
    decoded = decode_reliably(prompted, features)
    doubtful = [number for number, one in enumerate(decoded) if one.is_doubtful]
    if doubtful:
        for number, again in zip(doubtful, decode_reliably(plain, features[doubtful]), strict=True):
            decoded[number] = min(decoded[number], again, key=_doubt)
    return decoded


def suppressed_tokens(tokenizer: Tokenizer) -> list[int]:
    """All tokens that are not text: special tokens, timestamps and symbols for non-speech."""
    return sorted({*tokenizer.non_speech_tokens, *range(tokenizer.eot + 1, tokenizer.encoding.n_vocab)})


def _doubt(decoded: Decoded) -> tuple[bool, bool, float]:
    return decoded.is_doubtful, decoded.repeats, -decoded.mean_log_probability
