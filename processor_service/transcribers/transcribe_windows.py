"""From windows of audio to a transcript: what the engines for Whisper's models share, each with a library of its own.

Windows are encoded and decoded in batches; the language is asked of the first of them; no text is carried over.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec
import numpy as np
import torch
import whisper

from processor_service.transcribers.choose_language import begun_later, choose_language
from processor_service.transcribers.segments import HeardWindow, TimedWord, segments_of
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span
from processor_service.transcribers.whisper_checks import Decoded, decode_reliably
from processor_service.transcribers.whisper_model import Encoded, Language, WhisperModel, tokenizer_for
from shared.schemas.options import JobOptions
from shared.schemas.transcript import ResultWarning, Transcript, WarningCode

WINDOWS_AT_ONCE = 8  # more gain little on a CPU, and each costs memory
WARM_UP_S = 3


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
        language = language or choose_language(model, encoded, partial(_encode_later, model, audio, batch))
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
    tokenizer = tokenizer_for(model, Language("en"), "transcribe")
    model.decoder(tokenizer, None).decode(encoded)
    said = Decoded(
        tokens=tuple(tokenizer.encode(" warm up")), text="", mean_log_probability=0.0, no_speech_probability=0.0
    )
    model.align(tokenizer, encoded, [said], [WARM_UP_S])


def _encode_later(model: WhisperModel[Encoded], audio: FloatArray, batch: Sequence[Span]) -> Encoded | None:
    later = begun_later(batch)
    return model.encode(_spectrograms(audio, later, model.mels)) if later else None


def _heard(
    model: WhisperModel[Encoded], batch: Sequence[Span], encoded: Encoded, language: Language, options: JobOptions
) -> Iterator[HeardWindow]:
    tokenizer = tokenizer_for(model, language, options.task)
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
