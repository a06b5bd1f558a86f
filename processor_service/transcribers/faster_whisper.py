"""The faster-whisper engine: a model in CTranslate2, in 8-bit integers on the CPU and 16-bit floats on a GPU.

CTranslate2 is what faster-whisper runs on. It is used directly here, on the windows that all engines get.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import torch
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.ctranslate2_workers import Workers, stored
from processor_service.transcribers.faster_whisper_decode import WindowDecoder
from processor_service.transcribers.median_of_seven import MEDIAN_WIDTH
from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.transcribe_windows import transcribe_windows, warm_up
from processor_service.transcribers.transcriber import FloatArray, Span
from processor_service.transcribers.whisper_checks import Decoded
from processor_service.transcribers.word_times import FRAMES_PER_S, TokenPath, timed_words
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript

FOLDER_SUFFIX = ".ct2"  # of a model in the cache


class FasterWhisper:
    """A model folder of CTranslate2. `device` is cpu, cuda, or auto: a GPU where there is one."""

    engine = "faster-whisper"
    wants_speech_only = True

    def __init__(self, model_path: Path, device: str = "auto") -> None:
        self.model = model_path.name.removesuffix(FOLDER_SUFFIX)
        self._path = model_path
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self._device = device
        self._threads = torch.get_num_threads()  # as the environment of the process says
        self._workers = Workers(model_path, device, self._threads)
        self._by_chance: Workers | None = None
        self.is_multilingual: bool = self._workers.model.is_multilingual
        self.languages: int = self._workers.model.num_languages
        self.mels: int = self._workers.model.n_mels

    def warm_up(self) -> None:
        """Touch every weight, and compile what openai-whisper's helpers compile (numba)."""
        warm_up(self)

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
        self._use_threads(threads)
        try:
            return transcribe_windows(self, audio, windows, options, on_progress)
        finally:
            self._by_chance = None

    def encode(self, spectrograms: torch.Tensor) -> FloatArray:
        """See WhisperModel."""
        return self._workers.encode(spectrograms.numpy())

    def language_probabilities(self, encoded: FloatArray) -> list[dict[str, float]]:
        """See WhisperModel."""
        by_window = self._workers.model.detect_language(stored(encoded))
        return [{token.strip("<|>"): probability for token, probability in one} for one in by_window]

    def decoder(self, tokenizer: Tokenizer, prompt: str | None) -> WindowDecoder:
        """See WhisperModel."""
        return WindowDecoder(self._workers, self._sampler, tokenizer, prompt)

    def align(
        self, tokenizer: Tokenizer, encoded: FloatArray, decoded: Sequence[Decoded], durations_s: Sequence[float]
    ) -> list[list[TimedWord]]:
        """See WhisperModel."""
        words: list[list[TimedWord]] = [[] for _ in decoded]
        spoken = [number for number, text in enumerate(decoded) if text.tokens]
        frames = [max(1, int(durations_s[number] * FRAMES_PER_S)) for number in spoken]

        def paths(part: slice) -> list[TokenPath]:
            aligned = self._workers.model.align(
                stored(encoded[spoken[part]]),
                list(tokenizer.sot_sequence),
                [list(decoded[number].tokens) for number in spoken[part]],
                [2 * count for count in frames[part]],  # of the spectrogram, which has twice as many
                median_filter_width=MEDIAN_WIDTH,
            )
            return [_path(one) for one in aligned]

        for number, path in zip(spoken, self._workers.share_out(paths, len(spoken)), strict=True):
            words[number] = timed_words(tokenizer, decoded[number].tokens, path, durations_s[number])
        return words

    def _use_threads(self, threads: int) -> None:
        """A model keeps the threads it was loaded with: another number takes loading it anew."""
        torch.set_num_threads(threads)
        if threads != self._threads and self._device == "cpu":
            del self._workers  # its memory first
            self._threads = threads
            self._workers = Workers(self._path, self._device, threads)

    def _sampler(self) -> Workers:
        """The same model anew, for one transcript: CTranslate2 seeds chance once, when a loaded model first draws.

        So the same audio gives the same text, whatever was transcribed before.
        """
        if self._by_chance is None:
            ctranslate2.set_random_seed(0)
            self._by_chance = Workers(self._path, self._device, self._threads, most=1)
        return self._by_chance


def _path(aligned: Any) -> TokenPath:
    """A `WhisperAlignmentResult`, which CTranslate2 does not export."""
    token_at, frame_at = np.array(aligned.alignments).T
    return TokenPath(token_at, frame_at, aligned.text_token_probs)
