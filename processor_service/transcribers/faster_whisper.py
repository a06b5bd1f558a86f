"""The engine faster-whisper: CTranslate2 with 8-bit integers on a CPU and 16-bit floats on a GPU.

The faster-whisper package runs on CTranslate2. This engine uses CTranslate2 directly, on the windows of all engines.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import ctranslate2
import numpy as np
import torch
from ctranslate2 import StorageView
from ctranslate2.models import Whisper, WhisperGenerationResult
from whisper.tokenizer import Tokenizer

from processor_service.models.cache import Form
from processor_service.transcribers.prompt import previous_tokens
from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.transcribe_windows import transcribe_windows, warm_up
from processor_service.transcribers.transcriber import FloatArray, OnProgress, Span
from processor_service.transcribers.whisper_checks import Decoded, decoded_text, suppressed_tokens
from processor_service.transcribers.whisper_model import OnWindows, ignore_windows
from processor_service.transcribers.word_times import FRAMES_PER_S, MEDIAN_WIDTH, TokenPath, timed_words
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript

# Several workers with one thread each take 0.7 of the time of one worker with several threads (two cores).
MAX_WORKERS = 4  # each takes memory, and a batch has too few windows for more

Result = TypeVar("Result")


class Workers:
    """A model that is loaded once for up to `most` workers, which share a batch's windows and the CPU `threads`."""

    def __init__(self, path: Path, device: str, threads: int, *, most: int = MAX_WORKERS) -> None:
        self.count = 1 if device == "cuda" else min(threads, most)
        self.model = Whisper(
            str(path),
            device=device,
            compute_type="float16" if device == "cuda" else "int8",
            inter_threads=self.count,
            intra_threads=max(1, threads // self.count),
        )
        self._pool = ThreadPoolExecutor(self.count)

    def encode(self, spectrograms: FloatArray, on_encoded: OnWindows) -> FloatArray:
        """The encoder's output for spectrograms of shape (windows, mels, frames).

        Windows are encoded one by one: not slower on a CPU, and attention takes at least 50 MB for each.
        """
        encoded = []
        for one in self._pool.map(self._encode_one, spectrograms):
            encoded.append(one)
            on_encoded(1)
        return np.concatenate(encoded)

    def distribute(
        self, work: Callable[[slice], Sequence[Result]], windows: int, on_done: OnWindows = ignore_windows
    ) -> list[Result]:
        """The results of `work` for all windows, in order. Each worker gets a slice."""
        each = max(1, -(-windows // self.count))
        slices = [slice(first, min(first + each, windows)) for first in range(0, windows, each)]
        done: list[Result] = []
        for results in self._pool.map(work, slices):
            done += results
            on_done(len(results))
        return done

    def _encode_one(self, spectrogram: FloatArray) -> FloatArray:
        return np.array(self.model.encode(stored(spectrogram[None]), to_cpu=True))


def stored(array: FloatArray) -> StorageView:
    """The array as CTranslate2 takes it, possibly with shared memory."""
    return StorageView.from_array(np.ascontiguousarray(array))


# Beams compensate for 8-bit rounding: tiny.en has 8.0 % word errors with three, 8.3 % with one. Five are no better.
BEAMS = 3


class WindowDecoder:
    """Decodes windows in one language and task: by beam search, or by sampling with the workers of `sampler`."""

    def __init__(
        self,
        workers: Workers,
        sampler: Callable[[], Workers],
        tokenizer: Tokenizer,
        prompt: str | None,
        on_decoded: OnWindows,
    ) -> None:
        self._workers = workers
        self._sampler = sampler
        self._on_decoded = on_decoded
        self._tokenizer = tokenizer
        self._start = [*previous_tokens(tokenizer, prompt), *tokenizer.sot_sequence_including_notimestamps]
        self._suppressed = suppressed_tokens(tokenizer)

    def decode(self, features: FloatArray, *, temperature: float = 0.0) -> list[Decoded]:
        """Decode encoded windows, shape (windows, frames, state)."""
        workers = self._sampler() if temperature else self._workers

        def generate(part: slice) -> list[WhisperGenerationResult]:
            results: list[WhisperGenerationResult] = workers.model.generate(
                stored(features[part]),
                [self._start] * len(features[part]),
                beam_size=1 if temperature else BEAMS,
                sampling_topk=0 if temperature else 1,
                sampling_temperature=temperature or 1.0,
                suppress_tokens=self._suppressed,
                return_scores=True,
                return_no_speech_prob=True,
            )
            return results

        return [self._decoded(result) for result in workers.distribute(generate, len(features), self._on_decoded)]

    def _decoded(self, result: WhisperGenerationResult) -> Decoded:
        tokens = result.sequences_ids[0]
        # The score is a mean over the text; Whisper's checks include the end token.
        mean = result.scores[0] * len(tokens) / (len(tokens) + 1)
        return decoded_text(self._tokenizer, tokens, mean, result.no_speech_prob)


class FasterWhisper:
    """A CTranslate2 model. `device` is cpu, cuda, or auto: the GPU if there is one."""

    engine = "faster-whisper"
    wants_speech_only = True
    prefers_terms = False

    def __init__(self, model_path: Path, device: str = "auto") -> None:
        self.model = model_path.name.removesuffix(Form.FOLDER)
        self._path = model_path
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self._device = device
        self._threads = torch.get_num_threads()
        self._workers = Workers(model_path, device, self._threads)
        self._sampling_workers: Workers | None = None
        self.is_multilingual: bool = self._workers.model.is_multilingual
        self.languages: int = self._workers.model.num_languages
        self.mels: int = self._workers.model.n_mels

    def warm_up(self) -> None:
        """Use every weight once."""
        warm_up(self)

    def transcribe(
        self,
        audio: FloatArray,
        windows: Sequence[Span],
        options: JobOptions,
        *,
        threads: int,
        on_progress: OnProgress,
    ) -> Transcript:
        """See Transcriber."""
        self._use_threads(threads)
        try:
            return transcribe_windows(self, audio, windows, options, on_progress)
        finally:
            self._sampling_workers = None

    def encode(self, spectrograms: torch.Tensor, on_encoded: OnWindows = ignore_windows) -> FloatArray:
        """See WhisperModel."""
        return self._workers.encode(spectrograms.numpy(), on_encoded)

    def language_probabilities(self, encoded: FloatArray) -> list[dict[str, float]]:
        """See WhisperModel."""
        by_window = self._workers.model.detect_language(stored(encoded))
        return [{token.strip("<|>"): probability for token, probability in one} for one in by_window]

    def decoder(
        self,
        tokenizer: Tokenizer,
        prompt: str | None,
        on_decoded: OnWindows = ignore_windows,
        terms: Sequence[str] = (),  # noqa: ARG002 - CTranslate2 has no bias that is taken back
    ) -> WindowDecoder:
        """See WhisperModel."""
        return WindowDecoder(self._workers, self._sampler, tokenizer, prompt, on_decoded)

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
                [2 * count for count in frames[part]],  # of the spectrogram, which has twice as many frames
                median_filter_width=MEDIAN_WIDTH,
            )
            return [_path(one) for one in aligned]

        for number, path in zip(spoken, self._workers.distribute(paths, len(spoken)), strict=True):
            words[number] = timed_words(tokenizer, decoded[number].tokens, path, durations_s[number])
        return words

    def _use_threads(self, threads: int) -> None:
        """Set the number of threads. A loaded CTranslate2 model keeps its number, so another one needs a reload."""
        torch.set_num_threads(threads)
        if threads != self._threads and self._device == "cpu":
            del self._workers  # free its memory first
            self._threads = threads
            self._workers = Workers(self._path, self._device, threads)

    def _sampler(self) -> Workers:
        """The model, loaded again for one transcript, so that the same audio always gives the same text.

        CTranslate2 seeds its random numbers once per loaded model, at the first sample.
        """
        if self._sampling_workers is None:
            ctranslate2.set_random_seed(0)
            self._sampling_workers = Workers(self._path, self._device, self._threads, most=1)
        return self._sampling_workers


def _path(aligned: Any) -> TokenPath:
    """The path of a `WhisperAlignmentResult`, a type that CTranslate2 does not export."""
    token_at, frame_at = np.array(aligned.alignments).T
    return TokenPath(token_at, frame_at, aligned.text_token_probs)
