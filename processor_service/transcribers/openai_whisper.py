"""The openai-whisper engine: a checkpoint in torch, in 32 bits on the CPU and in 16 on a GPU.

Windows are decoded in batches by `whisper_decode`; word times come by alignment on what is already encoded.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import whisper
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.transcribe_windows import transcribe_windows, warm_up
from processor_service.transcribers.transcriber import FloatArray, Span
from processor_service.transcribers.whisper_align import align
from processor_service.transcribers.whisper_checks import Decoded
from processor_service.transcribers.whisper_decode import WindowDecoder
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript

ENCODED_AT_ONCE = 2  # windows: more are no faster on a CPU, and each takes 40 MB meanwhile


class OpenAIWhisper:
    """A checkpoint loaded by openai-whisper. `device` is cpu, cuda, or auto: a GPU where there is one."""

    engine = "openai-whisper"
    wants_speech_only = True

    def __init__(self, model_path: Path, device: str = "auto") -> None:
        self.model = model_path.stem
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._precision = torch.float16 if device == "cuda" else torch.float32
        self._model = whisper.load_model(str(model_path), device=device)
        # A model that is loaded by path has no alignment heads, and word times are poor without them.
        if heads := whisper._ALIGNMENT_HEADS.get(self.model):  # noqa: SLF001 - whisper keeps them nowhere else
            self._model.set_alignment_heads(heads)
        self.is_multilingual: bool = self._model.is_multilingual
        self.languages: int = self._model.num_languages
        self.mels: int = self._model.dims.n_mels

    def warm_up(self) -> None:
        """Compile the word-alignment kernels (numba) and touch every weight: seconds, once a process."""
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
        torch.set_num_threads(threads)
        torch.manual_seed(0)  # the same audio gives the same text
        return transcribe_windows(self, audio, windows, options, on_progress)

    @torch.inference_mode()
    def encode(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """See WhisperModel."""
        on_device = spectrograms.to(self._model.device, self._precision)
        return torch.cat([self._model.encoder(some) for some in torch.split(on_device, ENCODED_AT_ONCE)])

    def language_probabilities(self, encoded: torch.Tensor) -> list[dict[str, float]]:
        """See WhisperModel."""
        _, by_window = whisper.detect_language(self._model, encoded)
        return list(by_window)

    def decoder(self, tokenizer: Tokenizer, prompt: str | None) -> WindowDecoder:
        """See WhisperModel."""
        return WindowDecoder(self._model, tokenizer, prompt)

    def align(
        self, tokenizer: Tokenizer, encoded: torch.Tensor, decoded: Sequence[Decoded], durations_s: Sequence[float]
    ) -> list[list[TimedWord]]:
        """See WhisperModel."""
        return [
            align(self._model, tokenizer, text.tokens, features, duration_s)
            for text, features, duration_s in zip(decoded, encoded, durations_s, strict=True)
        ]
