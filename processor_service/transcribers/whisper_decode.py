"""Decodes many windows at once with an openai-whisper model: text tokens, and how sure the model is of them.

No text is carried from window to window; a window that has ended leaves the batch, so that the others go on faster.
"""

from collections.abc import Sequence

import torch
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.whisper_checks import Decoded, previous_tokens, tokens_never_said

Cache = dict[torch.nn.Module, torch.Tensor]  # keys and values of attention, by the layer that computed them


class WindowDecoder:
    """A model and what of its vocabulary may be said; one language and task."""

    def __init__(self, model: Whisper, tokenizer: Tokenizer, prompt: str | None) -> None:
        self._model = model
        self._tokenizer = tokenizer
        previous = previous_tokens(tokenizer, prompt)
        self._start = [*previous, *tokenizer.sot_sequence_including_notimestamps]
        self._sot_at = len(previous)
        self._max_tokens = model.dims.n_text_ctx // 2
        self._embedding: torch.Tensor = model.decoder.token_embedding.weight
        self._never = tokens_never_said(tokenizer)
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
            states = self._states(tokens, features, cache)
            no_speech = self._logits(states[:, self._sot_at]).softmax(-1)[:, self._tokenizer.no_speech].tolist()
            alive = list(range(count))
            for step in range(self._max_tokens):
                chosen, probability = self._choose(self._logits(states[:, -1]), temperature, is_first=step == 0)
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
                states = self._states(tokens, features, cache)
        finally:
            for hook in hooks:
                hook.remove()
        return [self._decoded(*window) for window in zip(said, log_probabilities, no_speech, strict=True)]

    def _states(self, tokens: torch.Tensor, features: torch.Tensor, cache: Cache) -> torch.Tensor:
        """What the decoder makes of the next tokens, shape (windows, tokens, state): its `forward` but for the end."""
        decoder = self._model.decoder
        offset = next(iter(cache.values())).shape[1] if cache else 0
        states = decoder.token_embedding(tokens) + decoder.positional_embedding[offset : offset + tokens.shape[1]]
        states = states.to(features.dtype)
        for block in decoder.blocks:
            states = block(states, features, mask=decoder.mask, kv_cache=cache)
        normed: torch.Tensor = decoder.ln(states)
        return normed

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        """For states of shape (windows, state), (windows, vocabulary).

        The vocabulary is the left factor: for a few windows, on a CPU, twice as fast as Whisper's own order.
        """
        return (self._embedding.to(states.dtype) @ states.T).T.float().contiguous()

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


def _keep(cache: Cache, rows: Sequence[int], features: torch.Tensor) -> torch.Tensor:
    """Drop all rows but these from what was computed so far."""
    index = torch.tensor(rows, device=features.device)
    for module, tensor in cache.items():
        cache[module] = tensor.index_select(0, index)
    return features.index_select(0, index)
