"""Decodes many windows at once with an openai-whisper model: text tokens, and how sure the model is of them.

Greedy, or by sampling at a temperature, as in Radford et al. 2022 (section 4.5). No text is carried from window to
window; a window that has ended leaves the batch, so that the others go on faster.
"""

import zlib
from collections.abc import Sequence

import msgspec
import torch
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

# Whisper's own checks of a text, and what follows when it fails them.
MAX_COMPRESSION_RATIO = 2.4  # above, it repeats itself
MIN_LOG_PROBABILITY = -1.0  # below, it is a guess
SILENT_FROM = 0.6  # probability of no speech; with a guess for a text, nothing was said
FALL_BACK_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
MAX_PROMPT_TOKENS = 223  # half of the decoder's context, less one, as Whisper was trained


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """The text of one window."""

    tokens: tuple[int, ...]
    text: str
    mean_log_probability: float
    no_speech_probability: float

    @property
    def compression_ratio(self) -> float:
        """How much shorter zlib makes the text: far above 2 for one that repeats itself."""
        data = self.text.encode()
        return len(data) / len(zlib.compress(data)) if data else 0.0

    @property
    def is_nothing(self) -> bool:
        """Whether the model itself takes it for silence."""
        return self.no_speech_probability > SILENT_FROM and self.mean_log_probability < MIN_LOG_PROBABILITY

    @property
    def is_doubtful(self) -> bool:
        """Whether it fails a check, so that another attempt may do better."""
        repeats = self.compression_ratio > MAX_COMPRESSION_RATIO
        return not self.is_nothing and (repeats or self.mean_log_probability < MIN_LOG_PROBABILITY)


NOTHING = Decoded(tokens=(), text="", mean_log_probability=0.0, no_speech_probability=1.0)


class WindowDecoder:
    """A model and what of its vocabulary may be said; one language and task."""

    def __init__(self, model: Whisper, tokenizer: Tokenizer, prompt: str | None) -> None:
        self._model = model
        self._tokenizer = tokenizer
        told = tokenizer.encode(" " + prompt.strip())[-MAX_PROMPT_TOKENS:] if prompt else []
        previous = [tokenizer.sot_prev, *told] if told else []
        self._start = [*previous, *tokenizer.sot_sequence_including_notimestamps]
        self._sot_at = len(previous)
        self._max_tokens = model.dims.n_text_ctx // 2
        self._never = self._suppressed()
        self._not_first = [*tokenizer.encode(" "), tokenizer.eot]

    @torch.inference_mode()
    def decode(self, features: torch.Tensor, *, temperature: float = 0.0) -> list[Decoded]:
        """Decode encoded windows, shape (windows, frames, state)."""
        count = len(features)
        said: list[list[int]] = [[] for _ in range(count)]
        log_probabilities = [0.0] * count
        cache, hooks = self._model.install_kv_cache_hooks()
        try:
            tokens = torch.tensor([self._start] * count, device=features.device)
            logits = self._model.decoder(tokens, features, kv_cache=cache)
            no_speech = logits[:, self._sot_at].softmax(-1)[:, self._no_speech_token].tolist()
            alive = list(range(count))
            for step in range(self._max_tokens):
                chosen, probability = self._choose(logits[:, -1], temperature, is_first=step == 0)
                for row, window in enumerate(alive):
                    log_probabilities[window] += probability[row]
                    if chosen[row] != self._tokenizer.eot:
                        said[window].append(chosen[row])
                going = [row for row, token in enumerate(chosen) if token != self._tokenizer.eot]
                if not going:
                    break
                if len(going) < len(alive):
                    features = _keep(cache, going, features)
                    alive = [alive[row] for row in going]
                tokens = torch.tensor([[chosen[row]] for row in going], device=features.device)
                logits = self._model.decoder(tokens, features, kv_cache=cache)
        finally:
            for hook in hooks:
                hook.remove()
        return [self._decoded(*window) for window in zip(said, log_probabilities, no_speech, strict=True)]

    def _choose(self, logits: torch.Tensor, temperature: float, *, is_first: bool) -> tuple[list[int], list[float]]:
        """The next token of each window, and its log probability."""
        logits[:, self._never] = -torch.inf
        if is_first:
            logits[:, self._not_first] = -torch.inf
        if temperature == 0:
            chosen = logits.argmax(-1)
        else:
            chosen = torch.multinomial((logits / temperature).softmax(-1), 1)[:, 0]
        probability = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
        return chosen.tolist(), probability.tolist()

    def _decoded(self, said: list[int], log_probability: float, no_speech: float) -> Decoded:
        return Decoded(
            tokens=tuple(said),
            text=self._tokenizer.decode(said).strip(),
            mean_log_probability=log_probability / (len(said) + 1),
            no_speech_probability=no_speech,
        )

    @property
    def _no_speech_token(self) -> int:
        return int(self._tokenizer.no_speech)

    def _suppressed(self) -> list[int]:
        """Everything that is no text: special tokens, times, and signs for what is not speech."""
        tokenizer = self._tokenizer
        special = range(tokenizer.eot + 1, self._model.dims.n_vocab)
        return sorted({*tokenizer.non_speech_tokens, *special})


def decode_reliably(decoder: WindowDecoder, features: torch.Tensor) -> list[Decoded]:
    """Decode windows, those that are doubtful again; of attempts that all are, the one the model was surest of."""
    torch.manual_seed(0)  # the same audio gives the same text
    decoded = decoder.decode(features)
    for temperature in FALL_BACK_TEMPERATURES:
        doubtful = [number for number, one in enumerate(decoded) if one.is_doubtful]
        if not doubtful:
            break
        for number, again in zip(doubtful, decoder.decode(features[doubtful], temperature=temperature), strict=True):
            decoded[number] = min(decoded[number], again, key=_doubt)
    return [NOTHING if one.is_nothing else one for one in decoded]


def _doubt(decoded: Decoded) -> tuple[bool, bool, float]:
    repeats = decoded.compression_ratio > MAX_COMPRESSION_RATIO
    return decoded.is_doubtful, repeats, -decoded.mean_log_probability


def _keep(cache: dict[torch.nn.Module, torch.Tensor], rows: Sequence[int], features: torch.Tensor) -> torch.Tensor:
    """Drop all rows but these from what was computed so far."""
    index = torch.tensor(rows, device=features.device)
    for module, tensor in cache.items():
        cache[module] = tensor.index_select(0, index)
    return features.index_select(0, index)
