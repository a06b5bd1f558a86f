"""The engine openai-whisper: a PyTorch checkpoint with 32-bit floats on a CPU and 16-bit floats on a GPU.

Many windows are decoded at once. Word times come from an alignment of the encoded windows.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import whisper
from whisper.model import Whisper, disable_sdpa
from whisper.timing import dtw
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.prompt import previous_tokens
from processor_service.transcribers.segments import TimedWord
from processor_service.transcribers.transcribe_windows import transcribe_windows, warm_up
from processor_service.transcribers.transcriber import FloatArray, Span
from processor_service.transcribers.whisper_checks import Decoded, decoded_text, suppressed_tokens
from processor_service.transcribers.word_times import FRAMES_PER_S, TokenPath, median_of_seven, timed_words
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript


@torch.inference_mode()
def align(
    model: Whisper, tokenizer: Tokenizer, tokens: Sequence[int], features: torch.Tensor, duration_s: float
) -> list[TimedWord]:
    """The times of the words of a decoded window, from its start; `features` has shape (frames, state).

    Dynamic time warping over the cross-attention of the alignment heads (Radford et al., 2022), as in `whisper.timing`.
    """
    if not tokens:
        return []
    attention, probabilities = _attend(model, tokenizer, tokens, features, max(1, int(duration_s * FRAMES_PER_S)))
    token_at, frame_at = dtw(-attention)
    return timed_words(tokenizer, tokens, TokenPath(token_at, frame_at, probabilities), duration_s)


def _attend(
    model: Whisper, tokenizer: Tokenizer, tokens: Sequence[int], features: torch.Tensor, frames: int
) -> tuple[torch.Tensor, list[float]]:
    """The mean attention of the alignment heads, shape (tokens + 1, frames), and the probability of each token."""
    prefix = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    forced = torch.tensor([[*prefix, *tokens, tokenizer.eot]], device=features.device)
    scores: dict[int, torch.Tensor] = {}
    hooks = [
        block.cross_attn.register_forward_hook(lambda _module, _input, output, n=n: scores.update({n: output[1][0]}))
        for n, block in enumerate(model.decoder.blocks)
    ]
    try:
        with disable_sdpa():
            logits = model.decoder(forced, features[None])[0]
    finally:
        for hook in hooks:
            hook.remove()
    chosen = torch.tensor(tokens, device=logits.device)[:, None]
    probabilities = logits[len(prefix) - 1 : -2, : tokenizer.eot].softmax(-1).gather(1, chosen)[:, 0].tolist()
    weights = torch.stack([scores[int(layer)][int(head)] for layer, head in model.alignment_heads.indices().T])
    weights = weights[:, :, :frames].float().cpu().softmax(-1)  # on the CPU: a GPU would need triton for the rest
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    smooth = median_of_seven((weights - mean) / deviation).mean(0)
    return smooth[len(prefix) - 1 : -1], probabilities


Cache = dict[torch.nn.Module, torch.Tensor]  # attention keys and values, by layer


class WindowDecoder:
    """Decodes many windows at once, in one language and task. A finished window leaves the batch."""

    def __init__(self, model: Whisper, tokenizer: Tokenizer, prompt: str | None) -> None:
        self._model = model
        self._tokenizer = tokenizer
        previous = previous_tokens(tokenizer, prompt)
        self._start = [*previous, *tokenizer.sot_sequence_including_notimestamps]
        self._sot_at = len(previous)
        # A long prompt leaves less than half of the context.
        self._max_tokens = min(model.dims.n_text_ctx // 2, model.dims.n_text_ctx - len(self._start))
        self._embedding: torch.Tensor = model.decoder.token_embedding.weight
        self._suppressed = suppressed_tokens(tokenizer)
        self._not_first = [*tokenizer.encode(" "), tokenizer.eot]

    @torch.inference_mode()
    def decode(self, features: torch.Tensor, *, temperature: float = 0.0) -> list[Decoded]:
        """Decode encoded windows, shape (windows, frames, state)."""
        count = len(features)
        texts: list[list[int]] = [[] for _ in range(count)]
        log_probabilities = [0.0] * count
        cache, hooks = self._model.install_kv_cache_hooks()
        try:
            tokens = torch.tensor([self._start] * count, device=features.device)
            states = self._states(tokens, features, cache)
            no_speech = self._logits(states[:, self._sot_at]).softmax(-1)[:, self._tokenizer.no_speech].tolist()
            alive = list(range(count))
            for step in range(self._max_tokens):
                chosen, probability = self._choose(self._logits(states[:, -1]), temperature, is_first=step == 0)
                for row, window in enumerate(alive):
                    log_probabilities[window] += probability[row]
                    if chosen[row] != self._tokenizer.eot:
                        texts[window].append(chosen[row])
                going = [row for row, token in enumerate(chosen) if token != self._tokenizer.eot]
                if not going:
                    break
                if len(going) < len(alive):
                    features = _keep(cache, going, features)
                    alive = [alive[row] for row in going]
                tokens = torch.tensor([[chosen[row]] for row in going], device=features.device)
                states = self._states(tokens, features, cache)
        finally:
            for hook in hooks:
                hook.remove()
        return [self._decoded(*window) for window in zip(texts, log_probabilities, no_speech, strict=True)]

    def _states(self, tokens: torch.Tensor, features: torch.Tensor, cache: Cache) -> torch.Tensor:
        """The states of the decoder for the next tokens, shape (windows, tokens, state): `forward` without logits."""
        decoder = self._model.decoder
        offset = next(iter(cache.values())).shape[1] if cache else 0
        states = decoder.token_embedding(tokens) + decoder.positional_embedding[offset : offset + tokens.shape[1]]
        states = states.to(features.dtype)
        for block in decoder.blocks:
            states = block(states, features, mask=decoder.mask, kv_cache=cache)
        normed: torch.Tensor = decoder.ln(states)
        return normed

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        """The logits, shape (windows, vocabulary), for states of shape (windows, state).

        The vocabulary is the left factor, which is twice as fast on a CPU for few windows as Whisper's order.
        """
        return (self._embedding.to(states.dtype) @ states.T).T.float().contiguous()

    def _choose(self, logits: torch.Tensor, temperature: float, *, is_first: bool) -> tuple[list[int], list[float]]:
        """The next token of each window, and its log probability."""
        logits[:, self._suppressed] = -torch.inf
        if is_first:
            logits[:, self._not_first] = -torch.inf
        if temperature == 0:
            chosen = logits.argmax(-1)
        else:
            chosen = torch.multinomial((logits / temperature).softmax(-1), 1)[:, 0]
        probability = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
        return chosen.tolist(), probability.tolist()

    def _decoded(self, tokens: list[int], log_probability: float, no_speech: float) -> Decoded:
        return decoded_text(self._tokenizer, tokens, log_probability / (len(tokens) + 1), no_speech)


def _keep(cache: Cache, rows: Sequence[int], features: torch.Tensor) -> torch.Tensor:
    """Keep these rows of the cache and of the features."""
    index = torch.tensor(rows, device=features.device)
    for module, tensor in cache.items():
        cache[module] = tensor.index_select(0, index)
    return features.index_select(0, index)


ENCODED_AT_ONCE = 2  # windows; more are not faster on a CPU, and each takes 40 MB


class OpenAIWhisper:
    """A checkpoint. `device` is cpu, cuda, or auto: the GPU if there is one."""

    engine = "openai-whisper"
    wants_speech_only = True

    def __init__(self, model_path: Path, device: str = "auto") -> None:
        self.model = model_path.stem
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._precision = torch.float16 if device == "cuda" else torch.float32
        self._model = whisper.load_model(str(model_path), device=device)
        # whisper sets no alignment heads for a model that is loaded by path; word times are poor without them.
        if heads := whisper._ALIGNMENT_HEADS.get(self.model):  # noqa: SLF001 - no public name
            self._model.set_alignment_heads(heads)
        self.is_multilingual: bool = self._model.is_multilingual
        self.languages: int = self._model.num_languages
        self.mels: int = self._model.dims.n_mels
        self._languages = whisper.tokenizer.get_tokenizer(self.is_multilingual, num_languages=self.languages)

    def warm_up(self) -> None:
        """Compile the alignment kernels (numba) and use every weight once. Takes seconds, once per process."""
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

    @torch.inference_mode()
    def language_probabilities(self, encoded: torch.Tensor) -> list[dict[str, float]]:
        """See WhisperModel. `whisper.detect_language` does not take a part of a window."""
        start = torch.tensor([[self._languages.sot]] * len(encoded), device=encoded.device)
        logits = self._model.logits(start, encoded)[:, 0, list(self._languages.all_language_tokens)]
        by_window: list[list[float]] = logits.float().softmax(-1).tolist()
        return [dict(zip(self._languages.all_language_codes, one, strict=True)) for one in by_window]

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
