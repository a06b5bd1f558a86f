"""The openai-whisper engine: windows of speech decoded in batches, word times by alignment, no text carried over.

Only windows whose text fails Whisper's own checks are decoded again, at rising temperatures.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
import whisper
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.protocol import SAMPLE_RATE_HZ, FloatArray, Span
from processor_service.transcribers.segments import TimedWord, segments_of
from processor_service.transcribers.whisper_align import align
from processor_service.transcribers.whisper_decode import Decoded, WindowDecoder, decode_reliably
from shared.options import JobOptions
from shared.transcript import ResultWarning, Segment, Transcript, WarningCode

WINDOWS_AT_ONCE = 8  # more gain little on a CPU, and each costs memory
WARM_UP_S = 3


class Language(msgspec.Struct, frozen=True):
    """What is spoken; the probability is the model's, None where nobody asked it."""

    code: str
    probability: float | None = None


class OpenAIWhisper:
    """A checkpoint on the CPU in float32."""

    engine = "openai-whisper"
    wants_speech_only = True

    def __init__(self, model_path: Path) -> None:
        self.model = model_path.stem
        self._model = whisper.load_model(str(model_path), device="cpu")
        # A model that is loaded by path has no alignment heads, and word times are poor without them.
        if heads := whisper._ALIGNMENT_HEADS.get(self.model):  # noqa: SLF001 - whisper keeps them nowhere else
            self._model.set_alignment_heads(heads)

    def warm_up(self) -> None:
        """Compile the word-alignment kernels (numba) and touch every weight: seconds, once a process."""
        noise = np.random.default_rng(0).normal(0, 0.05, WARM_UP_S * SAMPLE_RATE_HZ).astype(np.float32)
        window, language, options = (0.0, float(WARM_UP_S)), Language("en"), JobOptions()
        features = self._encode(noise, [window])
        tokenizer = self._tokenizer(language, options)
        WindowDecoder(self._model, tokenizer, None).decode(features)
        align(self._model, tokenizer, tokenizer.encode(" warm up"), features[0], WARM_UP_S)

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],
        options: JobOptions,
        *,
        threads: int,
        on_progress: Callable[[float], None],
    ) -> Transcript:
        """See Transcriber."""
        torch.set_num_threads(threads)
        language: Language | None = self._given_language(options)
        segments: list[Segment] = []
        for done, batch in _batches(windows):
            features = self._encode(audio, batch)
            language = language or self._detected_language(features)
            segments += self._segments(batch, features, language, options)
            on_progress(done / len(windows))
        return Transcript(
            text=" ".join(segment.text for segment in segments),
            language=language.code if language else None,
            language_probability=language.probability if language else None,
            duration=len(audio) / SAMPLE_RATE_HZ,
            segments=tuple(msgspec.structs.replace(one, id=number) for number, one in enumerate(segments)),
            warnings=self._warnings(options),
            engine=self.engine,
            model=self.model,
        )

    def _segments(
        self, batch: Sequence[Span], features: torch.Tensor, language: Language, options: JobOptions
    ) -> Iterator[Segment]:
        tokenizer = self._tokenizer(language, options)
        decoder = WindowDecoder(self._model, tokenizer, options.prompt)
        for window, encoded, decoded in zip(batch, features, decode_reliably(decoder, features), strict=True):
            words = self._words(tokenizer, window, encoded, decoded)
            yield from segments_of(
                words, no_speech_probability=decoded.no_speech_probability, keep_words=options.word_timestamps
            )

    def _words(self, tokenizer: Tokenizer, window: Span, encoded: torch.Tensor, decoded: Decoded) -> list[TimedWord]:
        """The words of a window, in the audio's time."""
        start_s, end_s = window
        words = align(self._model, tokenizer, decoded.tokens, encoded, end_s - start_s)
        return [msgspec.structs.replace(one, start_s=one.start_s + start_s, end_s=one.end_s + start_s) for one in words]

    @torch.inference_mode()
    def _encode(self, audio: FloatArray, batch: Sequence[Span]) -> torch.Tensor:
        """The encoder's output for each window, shape (windows, frames, state)."""
        pieces = [audio[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)] for start_s, end_s in batch]
        padded = torch.from_numpy(np.stack([whisper.pad_or_trim(piece) for piece in pieces]))
        features: torch.Tensor = self._model.encoder(whisper.log_mel_spectrogram(padded, self._model.dims.n_mels))
        return features

    def _given_language(self, options: JobOptions) -> Language | None:
        if not self._model.is_multilingual:
            return Language("en")
        return Language(options.language) if options.language else None

    def _detected_language(self, features: torch.Tensor) -> Language:
        """The language of the first windows of speech, all of them heard."""
        _, by_window = whisper.detect_language(self._model, features)
        mean = {code: float(np.mean([one[code] for one in by_window])) for code in by_window[0]}
        code = max(mean, key=lambda one: mean[one])
        return Language(code, round(mean[code], 4))

    def _tokenizer(self, language: Language, options: JobOptions) -> Tokenizer:
        multilingual = self._model.is_multilingual
        return whisper.tokenizer.get_tokenizer(
            multilingual,
            num_languages=self._model.num_languages,
            language=language.code,
            task=options.task if multilingual else "transcribe",
        )

    def _warnings(self, options: JobOptions) -> tuple[ResultWarning, ...]:
        asked_for_other = (options.language or "en") != "en" or options.task == "translate"
        if self._model.is_multilingual or not asked_for_other:
            return ()
        message = f"The model {self.model} knows English only; `language` and `task` were ignored."
        return (ResultWarning(code=WarningCode.LANGUAGE_IGNORED, message=message),)


def _batches(windows: Sequence[Span]) -> Iterator[tuple[int, Sequence[Span]]]:
    """Batches of windows, each with the number of windows that are done after it."""
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        batch = windows[start : start + WINDOWS_AT_ONCE]
        yield start + len(batch), batch
