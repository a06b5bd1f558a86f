"""The interface between the engines for Whisper models and the steps that they share."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec
import torch
import whisper
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.transcriber import FloatArray
from processor_service.transcribers.whisper_checks import Decoded, Decoder

Encoded = TypeVar("Encoded", torch.Tensor, FloatArray)  # encoded windows, shape (windows, frames, state)
OnWindows = Callable[[int], None]  # gets how many more windows are done


def ignore_windows(_: int) -> None:
    """Count nothing."""


class Language(msgspec.Struct, frozen=True):
    """A spoken language. The probability is the model's; None if the client gave the language.

    The candidates are the likeliest languages with their probabilities, in order.
    """

    code: str
    probability: float | None = None
    candidates: tuple[tuple[str, float], ...] = ()


SUBSTITUTE = "zh"  # for Cantonese, the only language that not all multilingual models know


def known_language(code: str, languages: int) -> str:
    """The code of a language as a model with that many languages knows it."""
    return code if code in list(whisper.tokenizer.LANGUAGES)[:languages] else SUBSTITUTE


class WhisperModel(Protocol[Encoded]):
    """A Whisper model that is loaded by an engine's library."""

    engine: str
    model: str
    is_multilingual: bool
    languages: int  # number of languages
    mels: int  # bands of the spectrogram
    prefers_terms: bool  # its decoders prefer key terms; otherwise these are in the prompt

    def encode(self, spectrograms: torch.Tensor, on_encoded: OnWindows = ignore_windows) -> Encoded:
        """The encoder's output for spectrograms of shape (windows, mels, frames)."""

    def language_probabilities(self, encoded: Encoded) -> list[dict[str, float]]:
        """The probability of each language code, for each window or part of it: shape (windows, frames, state)."""

    def decoder(
        self,
        tokenizer: Tokenizer,
        prompt: str | None,
        on_decoded: OnWindows = ignore_windows,
        terms: Sequence[str] = (),
    ) -> Decoder[Encoded]:
        """A decoder for the tokenizer's language. Each window is decoded as if the prompt preceded it.

        It prefers the key terms if `prefers_terms`.
        """

    def align(
        self, tokenizer: Tokenizer, encoded: Encoded, decoded: Sequence[Decoded], durations_s: Sequence[float]
    ) -> list[list[TimedWord]]:
        """The words of each window, with times from the start of the window."""


def tokenizer_for(model: WhisperModel[Encoded], language: str, task: str) -> Tokenizer:
    """The tokenizer for a language and task. An English-only model always transcribes."""
    return whisper.tokenizer.get_tokenizer(
        model.is_multilingual,
        num_languages=model.languages,
        language=language,
        task=task if model.is_multilingual else "transcribe",
    )
