"""The openai-whisper engine: `whisper.transcribe` with word times, no text carried from window to window."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper

from processor_service.transcribers.protocol import SAMPLE_RATE_HZ, FloatArray, word
from shared.options import JobOptions
from shared.transcript import ResultWarning, Segment, Transcript, WarningCode, Word


class OpenAIWhisper:
    """A checkpoint on the CPU in float32. Decoding is greedy, with Whisper's own fall-back temperatures."""

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
        noise = np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE_HZ).astype(np.float32)
        tokenizer = whisper.tokenizer.get_tokenizer(self._model.is_multilingual, language="en", task="transcribe")
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(noise))
        whisper.timing.find_alignment(self._model, tokenizer, tokenizer.encode(" warm up"), mel, 3000)
        self._transcribe(noise, JobOptions())

    def transcribe(self, audio: FloatArray, options: JobOptions, *, threads: int) -> Transcript:
        """See Transcriber."""
        torch.set_num_threads(threads)
        result = self._transcribe(audio, options)
        duration_s = len(audio) / SAMPLE_RATE_HZ
        segments = tuple(_segments(result["segments"], duration_s))
        return Transcript(
            text=" ".join(segment.text for segment in segments),
            language=result["language"],
            duration=duration_s,
            segments=segments,
            warnings=self._warnings(options),
            engine=self.engine,
            model=self.model,
        )

    def _transcribe(self, audio: FloatArray, options: JobOptions) -> dict[str, Any]:
        multilingual = self._model.is_multilingual
        result: dict[str, Any] = whisper.transcribe(
            self._model,
            audio,
            language=options.language if multilingual else "en",
            task=options.task if multilingual else "transcribe",
            initial_prompt=options.prompt,
            word_timestamps=options.word_timestamps,
            # Carrying text over is slower here, repeats itself after a mistake, and raised the word error rate.
            condition_on_previous_text=False,
            fp16=False,
            verbose=None,
        )
        return result

    def _warnings(self, options: JobOptions) -> tuple[ResultWarning, ...]:
        asked_for_other = (options.language or "en") != "en" or options.task == "translate"
        if self._model.is_multilingual or not asked_for_other:
            return ()
        message = f"The model {self.model} knows English only; `language` and `task` were ignored."
        return (ResultWarning(code=WarningCode.LANGUAGE_IGNORED, message=message),)


def _segments(raw: list[dict[str, Any]], duration_s: float) -> list[Segment]:
    """Whisper's segments as ours: without empty ones, times rising and within the audio."""
    segments: list[Segment] = []
    earliest_s = 0.0
    for one in raw:
        text = one["text"].strip()
        if not text:
            continue
        start_s, end_s = _within(one["start"], one["end"], earliest_s, duration_s)
        segments.append(
            Segment(
                id=len(segments),
                start=start_s,
                end=end_s,
                text=text,
                confidence=round(math.exp(min(one["avg_logprob"], 0.0)), 4),
                no_speech_prob=round(one["no_speech_prob"], 4),
                words=tuple(_words(one.get("words", []), start_s, end_s)),
            )
        )
        earliest_s = end_s
    return segments


def _words(raw: list[dict[str, Any]], earliest_s: float, latest_s: float) -> list[Word]:
    words: list[Word] = []
    for one in raw:
        start_s, end_s = _within(one["start"], one["end"], earliest_s, latest_s)
        words.append(word(one["word"].strip(), start_s, end_s, float(one["probability"])))
        earliest_s = end_s
    return words


def _within(start_s: float, end_s: float, earliest_s: float, latest_s: float) -> tuple[float, float]:
    start_s = min(max(float(start_s), earliest_s), latest_s)
    return round(start_s, 3), round(min(max(float(end_s), start_s), latest_s), 3)
