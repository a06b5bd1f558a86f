"""Decode windows with a PyTorch checkpoint of openai-whisper, many at once, and keep what aligns their words.

The largest tensors of a step are read once for each token: the keys and values of the audio, and the vocabulary. A
CPU is limited by reading them. If it multiplies 16-bit floats (bfloat16), both are kept in these.
"""

from collections.abc import Sequence
from math import exp

import msgspec
import torch
from torch.nn.functional import scaled_dot_product_attention
from whisper.model import MultiHeadAttention, Whisper
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.prompt import previous_tokens
from processor_service.transcribers.whisper_checks import Decoded, decoded_text, suppressed_tokens
from processor_service.transcribers.whisper_model import OnWindows, ignore_windows

LOOP_TOKENS, MAX_PERIOD = 64, 16
RESCORED = 8  # likeliest tokens whose logits are computed again with 32-bit floats; rounding changes fewer ranks

Cache = dict[torch.nn.Module, torch.Tensor]  # keys and values of the text, by layer
AudioKeys = tuple[torch.Tensor, torch.Tensor]  # keys and values, each (windows, heads, frames, head state)


class AttendedText(Decoded, frozen=True, kw_only=True):
    """A text with what its alignment needs.

    `queries` are those of the alignment heads, shape (heads, steps, head state): of each token from the start token to
    the last one of the text, of which the last `len(tokens) + 1` predict the text and its end.
    """

    queries: torch.Tensor
    probabilities: tuple[float, ...]  # of each token


class Vocabulary:
    """The embedding of all tokens, which is also the last layer. `is_rounded` adds a copy in bfloat16."""

    def __init__(self, weight: torch.Tensor, *, is_rounded: bool) -> None:
        self.is_rounded = is_rounded
        self._exact = weight
        self._rounded = weight.to(torch.bfloat16) if is_rounded else weight

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """The exact logits, shape (windows, tokens), for states of shape (windows, state).

        The vocabulary is the left factor, which is twice as fast on a CPU for few windows as Whisper's order.
        """
        return (self._exact.to(states.dtype) @ states.T).T.float().contiguous()

    def fast_logits(self, states: torch.Tensor, excluded: torch.Tensor) -> torch.Tensor:
        """The logits without the excluded tokens. The likeliest ones are exact."""
        if not self.is_rounded:
            return self.logits(states).index_fill_(1, excluded, -torch.inf)
        logits = (self._rounded @ states.to(self._rounded.dtype).T).T.float().contiguous()
        logits.index_fill_(1, excluded, -torch.inf)
        likeliest = logits.topk(RESCORED).indices
        exact = (self._exact[likeliest] @ states[:, :, None])[:, :, 0]
        return logits.scatter_(1, likeliest, exact)


class WindowDecoder:
    """Decodes many windows at once, in one language and task. A finished window leaves the batch."""

    def __init__(
        self,
        model: Whisper,
        vocabulary: Vocabulary,
        tokenizer: Tokenizer,
        prompt: str | None,
        on_decoded: OnWindows = ignore_windows,
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._tokenizer = tokenizer
        self._on_decoded = on_decoded
        previous = previous_tokens(tokenizer, prompt)
        self._start = [*previous, *tokenizer.sot_sequence_including_notimestamps]
        self._sot_at = len(previous)
        # A long prompt leaves less than half of the context.
        self._max_tokens = min(model.dims.n_text_ctx // 2, model.dims.n_text_ctx - len(self._start))
        self._suppressed = torch.tensor(suppressed_tokens(tokenizer), device=model.device)
        not_first = [*suppressed_tokens(tokenizer), *tokenizer.encode(" "), tokenizer.eot]
        self._not_first = torch.tensor(not_first, device=model.device)
        self._alignment_heads = [(int(layer), int(head)) for layer, head in model.alignment_heads.indices().T]

    @torch.inference_mode()
    def decode(self, features: torch.Tensor, *, temperature: float = 0.0) -> list[Decoded]:
        """Decode encoded windows, shape (windows, frames, state)."""
        drafts = [Draft() for _ in features]
        audio = self._audio_keys(features)
        cache, hooks = self._model.install_kv_cache_hooks()
        try:
            states, queries = self._states([self._start] * len(drafts), features, audio, cache)
            no_speech = self._no_speech_probabilities(states[:, self._sot_at])
            self._write(drafts, states, queries[:, :, self._sot_at :], temperature)
            alive = drafts
            for _ in range(self._max_tokens - 1):
                going = [row for row, one in enumerate(alive) if not one.is_over(self._tokenizer.eot)]
                if not going:
                    break
                if len(going) < len(alive):
                    self._on_decoded(len(alive) - len(going))
                    _keep(cache, audio, going)
                    alive = [alive[row] for row in going]
                states, queries = self._states([one.tokens[-1:] for one in alive], features, audio, cache)
                self._write(alive, states, queries, temperature)
        finally:
            for hook in hooks:
                hook.remove()
        return [self._decoded(*one) for one in zip(drafts, no_speech, strict=True)]

    def _write(
        self, drafts: Sequence["Draft"], states: torch.Tensor, queries: torch.Tensor, temperature: float
    ) -> None:
        """Add the next token to each text."""
        is_first = not drafts[0].tokens
        chosen, log_probabilities = self._choose(states[:, -1], temperature, is_first=is_first)
        for draft, token, log_probability, query in zip(drafts, chosen, log_probabilities, queries, strict=True):
            draft.tokens.append(token)
            draft.log_probabilities.append(log_probability)
            draft.queries.append(query)

    def _audio_keys(self, features: torch.Tensor, *, at_once: int | None = None) -> list[list[AudioKeys]]:
        """The keys and values of the audio by layer: of each window by itself on a CPU, of all together on a GPU.

        So a window leaves the batch on a CPU without a copy of the others, and a GPU runs fewer kernels.
        """
        groups = torch.split(features, at_once or (len(features) if features.is_cuda else 1))
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self._vocabulary.is_rounded):
            return [
                [_keys_and_values(block.cross_attn, group) for group in groups] for block in self._model.decoder.blocks
            ]

    def _states(
        self,
        tokens: Sequence[Sequence[int]],
        features: torch.Tensor,
        audio: Sequence[Sequence[AudioKeys]],
        cache: Cache,
        rows: Sequence[int] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The states after the next tokens, shape (texts, tokens, state), and the queries of the alignment heads.

        The queries have shape (texts, heads, tokens, head state). `rows` are the texts of each group of audio keys;
        without it, each window has one text.
        """
        decoder = self._model.decoder
        offset = next(iter(cache.values())).shape[1] if cache else 0
        embedded = decoder.token_embedding(torch.tensor(tokens, device=features.device))
        states = (embedded + decoder.positional_embedding[offset : offset + len(tokens[0])]).to(features.dtype)
        queries = []
        for block, keys in zip(decoder.blocks, audio, strict=True):
            states = states + block.attn(block.attn_ln(states), mask=decoder.mask, kv_cache=cache)[0]
            query = _by_head(block.cross_attn.query(block.cross_attn_ln(states)), block.cross_attn.n_head)
            states = states + block.cross_attn.out(_attended(query, keys, rows))
            states = states + block.mlp(block.mlp_ln(states))
            queries.append(query)
        of_heads = torch.stack([queries[layer][:, head] for layer, head in self._alignment_heads], dim=1)
        return decoder.ln(states), of_heads

    def _no_speech_probabilities(self, states: torch.Tensor) -> list[float]:
        probabilities: list[float] = self._vocabulary.logits(states).softmax(-1)[:, self._tokenizer.no_speech].tolist()
        return probabilities

    def _choose(self, states: torch.Tensor, temperature: float, *, is_first: bool) -> tuple[list[int], list[float]]:
        """The next token of each window, and its log probability."""
        logits = self._vocabulary.fast_logits(states, self._not_first if is_first else self._suppressed)
        if temperature == 0:
            chosen = logits.argmax(-1)
        else:
            chosen = torch.multinomial((logits / temperature).softmax(-1), 1)[:, 0]
        probability = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
        return chosen.tolist(), probability.tolist()

    def _decoded(self, draft: "Draft", no_speech: float) -> Decoded:
        tokens = [token for token in draft.tokens if token != self._tokenizer.eot]
        mean = sum(draft.log_probabilities) / (len(tokens) + 1)
        text = decoded_text(self._tokenizer, tokens, mean, no_speech)
        kept = _positions(text.tokens, tokens)
        queries = torch.cat(draft.queries, dim=1)
        before = queries.shape[1] - len(draft.tokens)  # steps before the one that predicts the first token
        end = min(before + len(tokens), queries.shape[1] - 1)  # a text that was cut off has no step for its end
        steps = [*range(before), *(before + number for number in kept), end]
        return AttendedText(
            **msgspec.structs.asdict(msgspec.structs.replace(text, is_loop=is_loop(draft.tokens))),
            queries=queries[:, steps],
            probabilities=tuple(exp(draft.log_probabilities[number]) for number in kept),
        )


class Draft:
    """The text of a window while it is decoded: its tokens, with the end, and what each step said of them."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.log_probabilities: list[float] = []
        self.queries: list[torch.Tensor] = []  # each (heads, steps, head state)

    def is_over(self, end: int) -> bool:
        """Whether the text has ended, or repeats itself without end."""
        return self.tokens[-1] == end or is_loop(self.tokens)


def is_loop(tokens: Sequence[int]) -> bool:
    """Return whether the last LOOP_TOKENS tokens repeat at most MAX_PERIOD tokens: the rest would, too."""
    last = list(tokens[-LOOP_TOKENS:])
    return len(last) == LOOP_TOKENS and any(
        last[period:] == last[:-period] for period in range(1, MAX_PERIOD + 1) if last[-1] == last[-1 - period]
    )


def _positions(some: Sequence[int], tokens: Sequence[int]) -> list[int]:
    """The positions of some of the tokens, in order."""
    rest = iter(enumerate(tokens))
    return [next(position for position, token in rest if token == one) for one in some]


def _attended(query: torch.Tensor, audio: Sequence[AudioKeys], rows: Sequence[int] | None) -> torch.Tensor:
    """What the heads attend to of the audio, shape (texts, steps, state)."""
    groups = torch.split(query, list(rows or [len(keys) for keys, _ in audio]))
    attended = [_attended_in(group, keys, values) for group, (keys, values) in zip(groups, audio, strict=True)]
    return torch.cat(attended).transpose(1, 2).flatten(2).to(query.dtype)


def _attended_in(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Attention of one text to each window, or of several texts to one window, whose keys are then read once."""
    if len(query) == len(keys):
        return scaled_dot_product_attention(query.to(keys.dtype), keys, values)
    steps = query.transpose(0, 1).flatten(1, 2)[None]  # a text attends to the audio, not to other texts
    attended = scaled_dot_product_attention(steps.to(keys.dtype), keys, values)[0]
    return attended.view(len(attended), len(query), -1, attended.shape[-1]).transpose(0, 1)


def _keep(cache: Cache, audio: Sequence[list[AudioKeys]], rows: Sequence[int]) -> None:
    """Keep these rows of the keys and values."""
    index = torch.tensor(rows, device=next(iter(cache.values())).device)
    for module, tensor in cache.items():
        cache[module] = tensor.index_select(0, index)
    for groups in audio:
        is_apart = len(groups[0][0]) == 1
        groups[:] = [groups[row] for row in rows] if is_apart else [(groups[0][0][index], groups[0][1][index])]


def _keys_and_values(attention: MultiHeadAttention, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    keys, values = attention.key(features), attention.value(features)
    return _by_head(keys, attention.n_head).contiguous(), _by_head(values, attention.n_head).contiguous()


def _by_head(states: torch.Tensor, heads: int) -> torch.Tensor:
    """(windows, steps, state) as (windows, heads, steps, head state)."""
    return states.view(*states.shape[:2], heads, -1).transpose(1, 2)
