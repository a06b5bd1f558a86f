"""Key terms as a trie over the tokens of a Whisper model. Pure."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import tiktoken

from shared.unspaced import is_unspaced

OUTSIDE = 0  # the root: no term has begun


class TermTrie:
    """The token sequences of terms. A node is the number of a prefix."""

    def __init__(self, encoding: tiktoken.Encoding, terms: Iterable[str]) -> None:
        self._encoding = encoding
        self._after: list[dict[int, int]] = [{}]
        self._lengths = [0]
        self._open: set[int] = set()  # nodes of terms that may end inside a word: scripts without spaces
        self._ends_word: dict[int, bool] = {}
        for term in terms:
            for text in spellings(term):
                node = self._add(encoding.encode(text, disallowed_special=()))
                if is_unspaced(term[-1]):
                    self._open.add(node)

    @property
    def first_tokens(self) -> list[int]:
        """The tokens with which terms begin."""
        return sorted(self._after[OUTSIDE])

    def after(self, node: int) -> Mapping[int, int]:
        """The nodes after a node, by token."""
        return self._after[node]

    def ends_term(self, node: int) -> bool:
        """Whether a term may end at a node."""
        return self._lengths[node] > 0

    def complete_tokens(self, node: int, token: int) -> int:
        """The number of tokens of the term that ends at a node before a token; 0: none does, or the word goes on."""
        length = self._lengths[node]
        return length if length and (node in self._open or self._ends_a_word(token)) else 0

    def _add(self, tokens: Iterable[int]) -> int:
        node, length = OUTSIDE, 0
        for token in tokens:
            length += 1
            if token not in self._after[node]:
                self._after.append({})
                self._lengths.append(0)
                self._after[node][token] = len(self._after) - 1
            node = self._after[node][token]
        self._lengths[node] = length
        return node

    def _ends_a_word(self, token: int) -> bool:
        """Whether a word that is written before a token has ended."""
        if token not in self._ends_word:
            is_text = token < self._encoding.eot_token
            data = self._encoding.decode_single_token_bytes(token) if is_text else b" "
            first = data.decode("utf-8", "ignore")[:1]  # empty: a part of a character
            self._ends_word[token] = bool(first) and (not first.isalnum() or is_unspaced(first))
        return self._ends_word[token]


@lru_cache(maxsize=2)
def trie_of(encoding: tiktoken.Encoding, terms: tuple[str, ...]) -> TermTrie:
    """The trie of a job's terms. The batches of a job have the same."""
    return TermTrie(encoding, terms)


def spellings(term: str) -> set[str]:
    """How a term may stand in a text: after a space, and with a capital at the beginning of a sentence."""
    text = " ".join(term.split())
    spaced = {f" {text}", f" {text[0].upper()}{text[1:]}"}
    return spaced | {text} if is_unspaced(text[0]) else spaced
