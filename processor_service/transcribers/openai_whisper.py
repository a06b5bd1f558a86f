"""The engine openai-whisper: a PyTorch checkpoint with 32-bit floats on a CPU and 16-bit floats on a GPU.

A CPU that multiplies bfloat16 keeps the audio's keys and values in it (window_decoder.py). Word times come from the
queries of the decoding, so that no text is decoded a second time.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import whisper
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.time_warping import cheapest_way, compiled
from processor_service.transcribers.transcribe_windows import transcribe_windows, warm_up
from processor_service.transcribers.transcriber import FloatArray, OnProgress, Span
from processor_service.transcribers.whisper_checks import Decoded
from processor_service.transcribers.whisper_model import OnWindows, ignore_windows
from processor_service.transcribers.window_decoder import AttendedText, Vocabulary, WindowDecoder
from processor_service.transcribers.word_times import FRAMES_PER_S, TokenPath, median_of_seven, timed_words
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript


@torch.inference_mode()
def align(
    tokenizer: Tokenizer, key_weights: torch.Tensor, text: AttendedText, features: torch.Tensor, duration_s: float
) -> list[TimedWord]:
    """The times of the words of a decoded window, from its start; `features` has shape (frames, state).

    Dynamic time warping over the cross-attention of the alignment heads (Radford et al., 2022), as in `whisper.timing`,
    with the queries of the decoding. `key_weights` are those of the heads, shape (heads, head state, state).
    """
    if not text.tokens:
        return []
    attention = _attention(key_weights, text, features[: max(1, int(duration_s * FRAMES_PER_S))])
    token_at, frame_at = cheapest_way(-attention.numpy())
    return timed_words(tokenizer, text.tokens, TokenPath(token_at, frame_at, text.probabilities), duration_s)


def _attention(key_weights: torch.Tensor, text: AttendedText, features: torch.Tensor) -> torch.Tensor:
    """The mean attention of the alignment heads, shape (tokens + 1, frames)."""
    keys = features @ key_weights.to(features.dtype).transpose(1, 2)
    scores = text.queries @ keys.transpose(1, 2) / key_weights.shape[1] ** 0.5
    weights = scores.float().cpu().softmax(-1)  # on the CPU: a GPU would need triton for the rest
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    smooth = median_of_seven((weights - mean) / deviation).mean(0)
    return smooth[-len(text.tokens) - 1 :]


def alignment_key_weights(model: Whisper) -> torch.Tensor:
    """The weights that make the keys of the alignment heads, shape (heads, head state, state)."""
    heads = [
        (model.decoder.blocks[int(layer)].cross_attn, int(head)) for layer, head in model.alignment_heads.indices().T
    ]
    return torch.stack([one.key.weight.unflatten(0, (one.n_head, -1))[head] for one, head in heads]).detach()


ENCODED_AT_ONCE = 2  # windows; more are not faster on a CPU, and each takes 40 MB


class OpenAIWhisper:
    """A checkpoint. `device` is cpu, cuda, or auto: the GPU if there is one."""

    engine = "openai-whisper"
    wants_speech_only = True
    prefers_terms = True

    def __init__(self, model_path: Path, device: str = "auto") -> None:
        self.model = model_path.stem
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._precision = torch.float16 if device == "cuda" else torch.float32
        self._model = whisper.load_model(str(model_path), device=device)
        # whisper sets no alignment heads for a model that is loaded by path; word times are poor without them.
        if heads := whisper._ALIGNMENT_HEADS.get(self.model):  # noqa: SLF001 - no public name
            self._model.set_alignment_heads(heads)
        self._key_weights = alignment_key_weights(self._model)
        self._vocabulary = Vocabulary(
            self._model.decoder.token_embedding.weight.detach(), is_rounded=device == "cpu" and multiplies_bfloat16()
        )
        self.is_multilingual: bool = self._model.is_multilingual
        self.languages: int = self._model.num_languages
        self.mels: int = self._model.dims.n_mels
        self._languages = whisper.tokenizer.get_tokenizer(self.is_multilingual, num_languages=self.languages)

    def warm_up(self) -> None:
        """Compile the time warping (numba) and use every weight once. Takes seconds, once per process."""
        warm_up(self)
        compiled()

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
        torch.set_num_threads(threads)
        torch.manual_seed(0)  # the same audio gives the same text
        return transcribe_windows(self, audio, windows, options, on_progress)

    @torch.inference_mode()
    def encode(self, spectrograms: torch.Tensor, on_encoded: OnWindows = ignore_windows) -> torch.Tensor:
        """See WhisperModel."""
        on_device = spectrograms.to(self._model.device, self._precision)
        encoded = []
        for some in torch.split(on_device, ENCODED_AT_ONCE):
            encoded.append(self._model.encoder(some))
            on_encoded(len(some))
        return torch.cat(encoded)

    @torch.inference_mode()
    def language_probabilities(self, encoded: torch.Tensor) -> list[dict[str, float]]:
        """See WhisperModel. `whisper.detect_language` does not take a part of a window."""
        start = torch.tensor([[self._languages.sot]] * len(encoded), device=encoded.device)
        logits = self._model.logits(start, encoded)[:, 0, list(self._languages.all_language_tokens)]
        by_window: list[list[float]] = logits.float().softmax(-1).tolist()
        return [dict(zip(self._languages.all_language_codes, one, strict=True)) for one in by_window]

    def decoder(
        self,
        tokenizer: Tokenizer,
        prompt: str | None,
        on_decoded: OnWindows = ignore_windows,
        terms: Sequence[str] = (),
    ) -> WindowDecoder:
        """See WhisperModel."""
        if not terms:
            return WindowDecoder(self._model, self._vocabulary, tokenizer, prompt, on_decoded)
        from processor_service.transcribers.term_decoder import TermDecoder
        from processor_service.transcribers.term_trie import trie_of

        trie = trie_of(tokenizer.encoding, tuple(terms))
        return TermDecoder(self._model, self._vocabulary, tokenizer, prompt, on_decoded).prefer(trie)

    def align(
        self, tokenizer: Tokenizer, encoded: torch.Tensor, decoded: Sequence[Decoded], durations_s: Sequence[float]
    ) -> list[list[TimedWord]]:
        """See WhisperModel."""
        return [
            align(tokenizer, self._key_weights, text, features, duration_s) if isinstance(text, AttendedText) else []
            for text, features, duration_s in zip(decoded, encoded, durations_s, strict=True)
        ]


def multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for products of 16-bit floats with 8 bits of precision. Emulation is slow."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
