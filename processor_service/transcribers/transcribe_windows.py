"""Transcribe windows of audio with a Whisper model: the steps that all engines for such models share.

Windows are encoded and decoded in batches. The language is detected in the first batch. No text is carried from window
to window.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from typing import NamedTuple

import msgspec
import numpy as np
import torch
import whisper

from processor_service.transcribers.choose_language import choose_language, hear_language, shifted_windows
from processor_service.transcribers.divide_languages import Part, divide_languages
from processor_service.transcribers.heard_languages import HeardLanguages, unsure_warnings
from processor_service.transcribers.inventions import settled, without_inventions
from processor_service.transcribers.prompt import PROMPT_SHORTENED, is_too_long, preceding_text, repeats_sentence
from processor_service.transcribers.segments import RecognizedWindow, TimedWord, main_language, segments_of
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, OnProgress, Span
from processor_service.transcribers.whisper_checks import (
    SILENCE,
    Decoded,
    decode_reliably,
    decode_with_prompt,
)
from processor_service.transcribers.whisper_model import (
    SUBSTITUTE,
    Encoded,
    Language,
    OnWindows,
    WhisperModel,
    ignore_windows,
    known_language,
    tokenizer_for,
)
from processor_service.transcribers.window_progress import WindowProgress
from shared.schemas.key_terms import PROMPT_CHARS, prompt_of
from shared.schemas.languages import LANGUAGES
from shared.schemas.options import JobOptions
from shared.schemas.transcript import LanguageCandidate, ResultWarning, Transcript, WarningCode
from shared.unspaced import joined_text

WINDOWS_AT_ONCE = 8  # more are little faster on a CPU, and each takes memory
STREAMED_AT_ONCE = (1, 2, 4)  # then the last again: a client waits, but small batches cost time
WARM_UP_S = 3


class _Step(NamedTuple):
    """Windows that were decoded together."""

    windows: int  # decoded so far
    language: Language  # of the recording
    recognized: list[RecognizedWindow]


def transcribe_windows(
    model: WhisperModel[Encoded],
    audio: FloatArray,
    windows: Sequence[Span],
    options: JobOptions,
    on_progress: OnProgress,
) -> Transcript:
    """See Transcriber.transcribe."""
    progress = WindowProgress(len(windows), on_progress)
    language = _given_language(model, options)
    recognized: list[RecognizedWindow] = []
    for step in _steps(model, audio, windows, options, progress):
        language = step.language
        recognized += step.recognized
        is_streamed = options.stream_windows and step.windows < len(windows)
        progress.done(step.windows, settled(segments_of(recognized), windows[step.windows][0]) if is_streamed else ())
    segments = without_inventions(segments_of(recognized))
    is_alone = options.detect_language_only and language is not None
    return Transcript(
        text=joined_text(segment.text for segment in segments),
        language=main_language(segments) or (language.code if language else None),
        language_probability=language.probability if language else None,
        duration=len(audio) / SAMPLE_RATE_HZ,
        segments=tuple(segments),
        warnings=(*_warnings(model, options), *unsure_warnings(recognized, options.language_confidence)),
        engine=model.engine,
        model=model.model,
        language_candidates=_candidates(language) if is_alone and language else msgspec.UNSET,
    )


def _candidates(language: Language) -> tuple[LanguageCandidate, ...]:
    """The chosen language and the others. A language that is given is certain."""
    known = language.candidates or ((language.code, 1.0),)
    chosen_first = sorted(known, key=lambda one: one[0] != language.code)
    return tuple(LanguageCandidate(language=code, probability=probability) for code, probability in chosen_first)


def _steps(
    model: WhisperModel[Encoded],
    audio: FloatArray,
    windows: Sequence[Span],
    options: JobOptions,
    progress: WindowProgress,
) -> Iterator[_Step]:
    """Recognize the windows in order."""
    given, allowed = _given_language(model, options), _allowed_languages(model, options)
    full = repeat(WINDOWS_AT_ONCE)
    sizes = chain(STREAMED_AT_ONCE, repeat(STREAMED_AT_ONCE[-1])) if options.stream_windows else full
    language, encode = given, partial(_encode, model, audio)
    recognize = partial(_recognized, model, options, progress.decoded)
    for batch_slice in _slices(len(windows), sizes if given else full):  # a language is detected in a full batch
        batch = windows[batch_slice]
        progress.begin(len(batch))
        encoded = encode(batch, progress.encoded)
        language = language or choose_language(model, encoded, partial(_encode_shifted, encode, batch), allowed)
        if options.detect_language_only:
            yield _Step(len(windows), language, [])
            return
        parts = [[(window, language.code)] for window in batch]
        hear = None
        if not given:
            hear = HeardLanguages(partial(hear_language, model, encoded, allowed))
            parts = divide_languages(audio, batch, hear, language.code, is_bounded=bool(allowed))
        for some in _slices(len(batch), full if given else sizes):
            recognized = _by_language(batch[some], encoded[some], parts[some], encode, recognize)
            if hear and options.language_confidence:
                recognized = [hear.added_to(one, batch) for one in recognized]
            yield _Step(batch_slice.start + some.stop, language, recognized)


def warm_up(model: WhisperModel[Encoded]) -> None:
    """Run each part of a model once, on short noise."""
    noise = np.random.default_rng(0).normal(0, 0.05, WARM_UP_S * SAMPLE_RATE_HZ).astype(np.float32)
    encoded = model.encode(_spectrograms(noise, [(0.0, float(WARM_UP_S))], model.mels))
    tokenizer = tokenizer_for(model, "en", "transcribe")
    model.decoder(tokenizer, None).decode(encoded)
    text = Decoded(
        tokens=tuple(tokenizer.encode(" warm up")), text="", mean_log_probability=0.0, no_speech_probability=0.0
    )
    model.align(tokenizer, encoded, [text], [WARM_UP_S])


def _encode(
    model: WhisperModel[Encoded], audio: FloatArray, windows: Sequence[Span], on_encoded: OnWindows = ignore_windows
) -> Encoded:
    return model.encode(_spectrograms(audio, windows, model.mels), on_encoded)


def _encode_shifted(encode: Callable[[Sequence[Span]], Encoded], batch: Sequence[Span]) -> Encoded | None:
    shifted = shifted_windows(batch)
    return encode(shifted) if shifted else None


def _by_language(
    batch: Sequence[Span],
    encoded: Encoded,
    parts: Sequence[Sequence[Part]],
    encode: Callable[[Sequence[Span]], Encoded],
    recognize: Callable[[Sequence[Span], Encoded, str], Iterator[RecognizedWindow]],
) -> list[RecognizedWindow]:
    """The windows in their languages. Parts of a divided window are encoded again, each as a window."""
    recognized: list[RecognizedWindow] = []
    for code in sorted({code for some in parts for _, code in some}):
        whole = [number for number, some in enumerate(parts) if len(some) == 1 and some[0][1] == code]
        if whole:
            some = encoded if len(whole) == len(batch) else encoded[whole]
            recognized += recognize([batch[number] for number in whole], some, code)
        spans = [span for some in parts if len(some) > 1 for span, language in some if language == code]
        if spans:
            recognized += recognize(spans, encode(spans), code)
    return sorted(recognized, key=lambda window: window.span)


def _recognized(  # noqa: PLR0913, PLR0917 - the first three are bound once
    model: WhisperModel[Encoded],
    options: JobOptions,
    on_decoded: OnWindows,
    batch: Sequence[Span],
    encoded: Encoded,
    language: str,
) -> Iterator[RecognizedWindow]:
    tokenizer = tokenizer_for(model, language, options.task)
    before = preceding_text(_prompt(model, options), language)
    terms = options.keyterms if options.task == "transcribe" else ()
    plain = model.decoder(tokenizer, None, on_decoded, terms)
    if before:
        decoded = decode_with_prompt(model.decoder(tokenizer, before, on_decoded, terms), plain, encoded)
    else:
        decoded = decode_reliably(plain, encoded)
    decoded = [SILENCE if repeats_sentence(one.text) else one for one in decoded]
    aligned = model.align(tokenizer, encoded, decoded, [end_s - start_s for start_s, end_s in batch])
    for window, text, words in zip(batch, decoded, aligned, strict=True):
        in_audio = [_moved(word, window[0]) for word in words]
        yield RecognizedWindow(
            span=window, words=in_audio, no_speech_probability=text.no_speech_probability, language=language
        )


def _prompt(model: WhisperModel[Encoded], options: JobOptions) -> str | None:
    """The client's prompt; with the key terms if the engine cannot prefer them in another way."""
    if model.prefers_terms or not options.keyterms:
        return options.prompt
    return prompt_of(options.keyterms, options.prompt, most_chars=PROMPT_CHARS)


def _moved(word: TimedWord, offset_s: float) -> TimedWord:
    return msgspec.structs.replace(word, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s)


def _spectrograms(audio: FloatArray, batch: Sequence[Span], mels: int) -> torch.Tensor:
    """The spectrograms, shape (windows, mels, frames). Each is normalised by itself, not by the loudest window."""
    pieces = [audio[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)] for start_s, end_s in batch]
    return torch.stack([whisper.log_mel_spectrogram(whisper.pad_or_trim(piece), mels) for piece in pieces])


def _given_language(model: WhisperModel[Encoded], options: JobOptions) -> Language | None:
    if not model.is_multilingual:
        return Language("en")
    code = options.language or (options.languages if options.languages in LANGUAGES else None)
    return Language(known_language(code, model.languages)) if code else None


def _allowed_languages(model: WhisperModel[Encoded], options: JobOptions) -> list[str]:
    return [known_language(code, model.languages) for code in options.allowed_languages]


def _warnings(model: WhisperModel[Encoded], options: JobOptions) -> tuple[ResultWarning, ...]:
    ignored = ignored_options(options, is_multilingual=model.is_multilingual, languages=model.languages)
    message = f"The model {model.model} {ignored}"
    warnings = [ResultWarning(code=WarningCode.LANGUAGE_IGNORED, message=message)] if ignored else []
    if is_too_long(tokenizer_for(model, "en", "transcribe"), options.prompt):
        warnings.append(PROMPT_SHORTENED)
    return tuple(warnings)


def ignored_options(options: JobOptions, *, is_multilingual: bool, languages: int) -> str | None:
    """What a model ignores of the client's language and task; None if nothing."""
    asked = [options.language] if options.language else options.allowed_languages
    if not is_multilingual and ((asked and "en" not in asked) or options.task == "translate"):
        return "supports English only; `language`, `languages` and `task` were ignored."
    unknown = [code for code in asked if is_multilingual and known_language(code, languages) != code]
    return f"does not know the language {unknown[0]}; {SUBSTITUTE} was used." if unknown else None


def _slices(count: int, sizes: Iterator[int]) -> Iterator[slice]:
    """Divide `count` windows into slices of these sizes."""
    start = 0
    while start < count:
        end = min(start + next(sizes), count)
        yield slice(start, end)
        start = end
