"""Decode windows with key terms: a few texts of each window side by side, of which the best is kept (term_text.py).

The keys and values of a window's audio are read once for all its texts.
"""

from collections.abc import Sequence

import torch

from processor_service.transcribers.term_text import MARGIN, TEXTS, TermText, going_on
from processor_service.transcribers.term_trie import TermTrie
from processor_service.transcribers.whisper_checks import SILENT_FROM, Decoded
from processor_service.transcribers.window_decoder import AudioKeys, Cache, WindowDecoder

FIRST_TOKENS = 3  # of terms, that a text may branch into at a step


class _Window:
    """The texts of a window."""

    def __init__(self, number: int, *, is_silent: bool) -> None:
        self.number = number
        self.is_silent = is_silent  # no term is raised
        self.alive = [TermText()]
        self.ended: list[TermText] = []

    def add(self, texts: Sequence[TermText], end: int) -> None:
        """Take the texts with one more token."""
        self.ended += [text for text in texts if text.is_over(end)]
        best_ended = max((text.final_score for text in self.ended), default=-float("inf"))
        self.alive = going_on([text for text in texts if not text.is_over(end)], best_ended)


class _Step:
    """The log probabilities of the next token of all texts, and the first tokens of terms among the probable ones."""

    def __init__(self, logits: torch.Tensor, first_tokens: torch.Tensor) -> None:
        self.log_probabilities = logits - logits.logsumexp(-1, keepdim=True)
        best = self.log_probabilities.max(-1)
        self.best: list[int] = best.indices.tolist()
        self._best_values: list[float] = best.values.tolist()
        first = self.log_probabilities[:, first_tokens].topk(min(FIRST_TOKENS, len(first_tokens)))
        self._first: list[list[int]] = first_tokens[first.indices].tolist()
        self._first_values: list[list[float]] = first.values.tolist()

    def options(self, row: int, text: TermText, trie: TermTrie, *, with_terms: bool) -> dict[int, float]:
        """The tokens that may follow the text of a row, with their log probabilities."""
        best = self._best_values[row]
        options = {self.best[row]: best}
        if not with_terms:
            return options
        tokens = text.term_tokens(trie)
        values: list[float] = self.log_probabilities[row, tokens].tolist() if tokens else []
        found = list(zip(tokens, values, strict=True))
        if text.may_begin_term(trie):
            found += zip(self._first[row], self._first_values[row], strict=True)
        return {token: value for token, value in found if value >= best - MARGIN} | options


class TermDecoder(WindowDecoder):
    """Decodes many windows at once. Without sampling, key terms are preferred."""

    def prefer(self, trie: TermTrie) -> "TermDecoder":
        """Prefer these terms."""
        self._trie = trie
        return self

    @torch.inference_mode()
    def decode(self, features: torch.Tensor, *, temperature: float = 0.0) -> list[Decoded]:
        """See WindowDecoder. Samples are drawn without key terms."""
        if temperature:
            return super().decode(features, temperature=temperature)
        audio = self._audio_keys(features, at_once=1)
        cache, hooks = self._model.install_kv_cache_hooks()
        try:
            rows = [1] * len(features)
            states, queries = self._states([self._start] * len(features), features, audio, cache, rows)
            no_speech = self._no_speech_probabilities(states[:, self._sot_at])
            windows = [_Window(number, is_silent=one > SILENT_FROM) for number, one in enumerate(no_speech)]
            self._search(windows, states, queries[:, :, self._sot_at :], features, audio, cache)
        finally:
            for hook in hooks:
                hook.remove()
        return [self._best(window, no_speech[window.number]) for window in windows]

    def _search(  # noqa: PLR0913, PLR0917 - the state of decoding
        self,
        windows: Sequence[_Window],
        states: torch.Tensor,
        queries: torch.Tensor,
        features: torch.Tensor,
        audio: list[list[AudioKeys]],
        cache: Cache,
    ) -> None:
        alive = list(windows)
        first_tokens = torch.tensor(self._trie.first_tokens, device=features.device)
        for number in range(self._max_tokens):
            logits = self._vocabulary.fast_logits(states[:, -1], self._suppressed if number else self._not_first)
            kept_rows = self._add_tokens(alive, _Step(logits, first_tokens), queries)
            self._on_decoded(sum(not window.alive for window in alive))
            going = [row for row, window in enumerate(alive) if window.alive]
            if not going or number == self._max_tokens - 1:
                break
            _keep_rows(cache, kept_rows, len(states))
            audio = [[keys[row] for row in going] for keys in audio]
            alive = [alive[row] for row in going]
            tokens = [text.tokens[-1:] for window in alive for text in window.alive]
            states, queries = self._states(tokens, features, audio, cache, [len(window.alive) for window in alive])

    def _add_tokens(self, windows: Sequence[_Window], step: _Step, queries: torch.Tensor) -> list[int]:
        """Add a token to all texts. Return the rows that the texts which go on come from."""
        row, kept_rows = 0, []
        for window in windows:
            rows: dict[int, int] = {}  # by the identity of a text
            texts = []
            for text in window.alive:
                options = step.options(row, text, self._trie, with_terms=not window.is_silent)
                for token, value in options.items():
                    longer = text.followed_by(self._trie, token, value, queries[row], is_best=token == step.best[row])
                    if longer is not None:
                        texts.append(longer)
                        rows[id(longer)] = row
                row += 1
            window.add(texts, self._tokenizer.eot)
            kept_rows += [rows[id(text)] for text in window.alive]
        return kept_rows

    def _best(self, window: _Window, no_speech: float) -> Decoded:
        """The best text that passes the checks, or the likeliest one."""
        texts = sorted([*window.ended, *window.alive], key=lambda text: -text.final_score)
        decoded = [(text, self._decoded(text, no_speech)) for text in texts[:TEXTS]]
        sound = (one for text, one in decoded if text.is_likeliest or not one.is_doubtful)
        likeliest = (self._decoded(text, no_speech) for text in texts if text.is_likeliest)
        return next(sound, None) or next(likeliest)


def _keep_rows(cache: Cache, rows: Sequence[int], count: int) -> None:
    """Keep these of `count` rows of the keys and values of the text; a row may be kept several times."""
    if list(rows) != list(range(count)):
        index = torch.tensor(rows, device=next(iter(cache.values())).device)
        for module, tensor in cache.items():
            cache[module] = tensor.index_select(0, index)
