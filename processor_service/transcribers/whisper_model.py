"""A Whisper model in the hands of a library: what the engines for such models have in common."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec
import torch
import whisper
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.transcriber import FloatArray
from processor_service.transcribers.whisper_checks import Decoded, Decoder

Encoded = TypeVar("Encoded", torch.Tensor, FloatArray)  # encoded windows, shape (windows, frames, state)


class Language(msgspec.Struct, frozen=True):
    """What is spoken; the probability is the model's, None where nobody asked it."""

    code: str
    probability: float | None = None


class WhisperModel(Protocol[Encoded]):
    """A Whisper model in the hands of a library."""

    engine: str
    model: str
    is_multilingual: bool
    languages: int  # that it knows
    mels: int  # bands of the spectrogram that it takes

    def encode(self, spectrograms: torch.Tensor) -> Encoded:
        """The encoder's output for spectrograms of shape (windows, mels, frames)."""

    def language_probabilities(self, encoded: Encoded) -> list[dict[str, float]]:
        """For each window the probability of each language, by its code."""

    def decoder(self, tokenizer: Tokenizer, prompt: str | None) -> Decoder[Encoded]:
        """What decodes windows into the tokenizer's language, each as if the prompt had been said before it."""

    def align(
        self, tokenizer: Tokenizer, encoded: Encoded, decoded: Sequence[Decoded], durations_s: Sequence[float]
    ) -> list[list[TimedWord]]:
        """When each word of each window was said, from the window's start."""


def tokenizer_for(model: WhisperModel[Encoded], language: Language, task: str) -> Tokenizer:
    """The tokens of a language and task; a model that knows English only does nothing but transcribe."""
    return whisper.tokenizer.get_tokenizer(
        model.is_multilingual,
        num_languages=model.languages,
        language=language.code,
        task=task if model.is_multilingual else "transcribe",
    )
