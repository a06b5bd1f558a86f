"""From windows of audio to a transcript: what the engines for Whisper's models share, each with a library of its own.

Windows are encoded and decoded in batches; the language is asked of the first of them; no text is carried over.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec
import numpy as np
import torch
import whisper
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.protocol import SAMPLE_RATE_HZ, FloatArray, Span
from processor_service.transcribers.segments import HeardWindow, TimedWord, segments_of
from processor_service.transcribers.whisper_checks import Decoded, Decoder, decode_reliably
from shared.options import JobOptions
from shared.transcript import ResultWarning, Transcript, WarningCode

WINDOWS_AT_ONCE = 8  # more gain little on a CPU, and each costs memory
WARM_UP_S = 3

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


def transcribe_windows(
    model: WhisperModel[Encoded],
    audio: FloatArray,
    windows: Sequence[Span],
    options: JobOptions,
    on_progress: Callable[[float], None],
) -> Transcript:
    """See Transcriber.transcribe."""
    language = _given_language(model, options)
    heard: list[HeardWindow] = []
    for done, batch in _batches(windows):
        encoded = model.encode(_spectrograms(audio, batch, model.mels))
        language = language or _likeliest_language(model.language_probabilities(encoded))
        heard += _heard(model, batch, encoded, language, options)
        on_progress(done / len(windows))
    segments = segments_of(heard)
    return Transcript(
        text=" ".join(segment.text for segment in segments),
        language=language.code if language else None,
        language_probability=language.probability if language else None,
        duration=len(audio) / SAMPLE_RATE_HZ,
        segments=tuple(segments),
        warnings=_warnings(model, options),
        engine=model.engine,
        model=model.model,
    )


def warm_up(model: WhisperModel[Encoded]) -> None:
    """Run each part of a model once, on a little noise."""
    noise = np.random.default_rng(0).normal(0, 0.05, WARM_UP_S * SAMPLE_RATE_HZ).astype(np.float32)
    encoded = model.encode(_spectrograms(noise, [(0.0, float(WARM_UP_S))], model.mels))
    tokenizer = _tokenizer(model, Language("en"), JobOptions())
    model.decoder(tokenizer, None).decode(encoded)
    said = Decoded(
        tokens=tuple(tokenizer.encode(" warm up")), text="", mean_log_probability=0.0, no_speech_probability=0.0
    )
    model.align(tokenizer, encoded, [said], [WARM_UP_S])


def _heard(
    model: WhisperModel[Encoded], batch: Sequence[Span], encoded: Encoded, language: Language, options: JobOptions
) -> Iterator[HeardWindow]:
    tokenizer = _tokenizer(model, language, options)
    decoded = decode_reliably(model.decoder(tokenizer, options.prompt), encoded)
    aligned = model.align(tokenizer, encoded, decoded, [end_s - start_s for start_s, end_s in batch])
    for window, text, words in zip(batch, decoded, aligned, strict=True):
        in_audio = [_later(word, window[0]) for word in words]
        yield HeardWindow(span=window, words=in_audio, no_speech_probability=text.no_speech_probability)


def _later(word: TimedWord, offset_s: float) -> TimedWord:
    return msgspec.structs.replace(word, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s)


def _spectrograms(audio: FloatArray, batch: Sequence[Span], mels: int) -> torch.Tensor:
    """Of each window by itself: together they would be levelled by the loudest. Shape (windows, mels, frames)."""
    pieces = [audio[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)] for start_s, end_s in batch]
    return torch.stack([whisper.log_mel_spectrogram(whisper.pad_or_trim(piece), mels) for piece in pieces])


def _given_language(model: WhisperModel[Encoded], options: JobOptions) -> Language | None:
    if not model.is_multilingual:
        return Language("en")
    return Language(options.language) if options.language else None


def _likeliest_language(by_window: Sequence[dict[str, float]]) -> Language:
    """The language of the first windows of speech, all of them heard."""
    mean = {code: float(np.mean([one[code] for one in by_window])) for code in by_window[0]}
    code = max(mean, key=lambda one: mean[one])
    return Language(code, round(mean[code], 4))


def _tokenizer(model: WhisperModel[Encoded], language: Language, options: JobOptions) -> Tokenizer:
    return whisper.tokenizer.get_tokenizer(
        model.is_multilingual,
        num_languages=model.languages,
        language=language.code,
        task=options.task if model.is_multilingual else "transcribe",
    )


def _warnings(model: WhisperModel[Encoded], options: JobOptions) -> tuple[ResultWarning, ...]:
    asked_for_other = (options.language or "en") != "en" or options.task == "translate"
    if model.is_multilingual or not asked_for_other:
        return ()
    message = f"The model {model.model} knows English only; `language` and `task` were ignored."
    return (ResultWarning(code=WarningCode.LANGUAGE_IGNORED, message=message),)


def _batches(windows: Sequence[Span]) -> Iterator[tuple[int, Sequence[Span]]]:
    """Batches of windows, each with the number of windows that are done after it."""
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        batch = windows[start : start + WINDOWS_AT_ONCE]
        yield start + len(batch), batch
