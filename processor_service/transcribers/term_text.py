"""Texts that are decoded side by side for the sake of key terms, and which texts of a window go on. Pure.

Shallow fusion with back-off (Zhao et al. 2019, "Shallow-Fusion End-to-End Contextual Biasing"): a token that continues
a term raises the score of its text; a term that is not completed takes that back. The likeliest text is always kept
beside, so that a term is written only if the whole text with it is nearly as probable as without it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from processor_service.transcribers.term_trie import OUTSIDE, TermTrie
from processor_service.transcribers.window_decoder import Draft

# What is written wrongly has, more often than what is right, a token that is far less probable than the best one. With
# a bonus of 2 and a margin of 8, seven wrong terms were written in 1,000 words of synthesized speech.
BONUS = 1.0  # for each token of a term, as a log probability
MARGIN = 2.5  # a token this much less probable (log) than the best one does not begin or continue a term
TEXTS = 4  # of a window, side by side
MAX_BEHIND = 10.0  # a text whose score is this much below the best is dropped
MAY_GAIN = 4 * BONUS  # by terms to come, when another text of the window has ended


class Position(NamedTuple):
    """Where a text is in a term that has begun at its end."""

    node: int = OUTSIDE
    depth: int = 0  # tokens of the term so far
    is_raised: bool = False  # one of them is not the best token
    within: float = 0.0  # the bonus of a complete term with which the term begins

    @property
    def bonus(self) -> float:
        """The bonus if the term is completed, as far as it has come."""
        return max(self.within, BONUS * self.depth)


def moved(trie: TermTrie, at: Position, token: int, *, is_best: bool) -> tuple[Position, float] | None:
    """The position after one more token, and the bonus of a term that is complete before it.

    None: the text has no reason. A token that is not the best one must begin a term, and a term with such a token must
    be completed.
    """
    complete = BONUS * trie.complete_tokens(at.node, token)
    node = trie.after(at.node).get(token, OUTSIDE) if at.node != OUTSIDE else OUTSIDE
    if node != OUTSIDE:
        is_raised = (at.is_raised and not complete) or not is_best
        return Position(node, at.depth + 1, is_raised, complete or at.within), 0.0
    if at.is_raised and not complete:
        return None
    node = trie.after(OUTSIDE).get(token, OUTSIDE)
    if node == OUTSIDE:
        return (Position(), complete or at.within) if is_best else None
    return Position(node, 1, not is_best), complete or at.within


class TermText(Draft):
    """A text with its score."""

    def __init__(self) -> None:
        super().__init__()
        self.is_likeliest = True  # all its tokens are the best ones
        self.log_probability = 0.0  # of all tokens
        self.bonus = 0.0  # of complete terms
        self.position = Position()

    @property
    def score(self) -> float:
        """The log probability with all bonuses, also of the term that has begun."""
        return self.final_score + self.position.bonus

    @property
    def final_score(self) -> float:
        """The log probability with the bonuses of complete terms."""
        return self.log_probability + self.bonus

    def term_tokens(self, trie: TermTrie) -> list[int]:
        """The tokens that continue the term that has begun."""
        return list(trie.after(self.position.node)) if self.position.node != OUTSIDE else []

    def may_begin_term(self, trie: TermTrie) -> bool:
        """Whether a new term may begin: not inside one that is only written for its end."""
        return not self.position.is_raised or trie.ends_term(self.position.node)

    def followed_by(
        self, trie: TermTrie, token: int, log_probability: float, query: torch.Tensor, *, is_best: bool
    ) -> "TermText | None":
        """The text with one more token. None: it has no reason, see `moved`."""
        move = moved(trie, self.position, token, is_best=is_best)
        if move is None:
            return None
        text = TermText()
        text.tokens = [*self.tokens, token]
        text.log_probabilities = [*self.log_probabilities, log_probability]
        text.queries = [*self.queries, query]
        text.is_likeliest = self.is_likeliest and is_best
        text.log_probability = self.log_probability + log_probability
        text.position, bonus = move
        text.bonus = self.bonus + bonus
        return text


def going_on(texts: Sequence[TermText], best_ended: float) -> list[TermText]:
    """The texts of a window that are decoded further: the likeliest one, and the best others.

    `best_ended` is the best final score of those that have ended.
    """
    best = max((text.score for text in texts), default=0.0)
    least = max(best - MAX_BEHIND, best_ended - MAY_GAIN)
    others = [text for text in texts if not text.is_likeliest and text.score > least]
    kept = sorted(others, key=lambda text: -text.score)[: TEXTS - 1]
    return [text for text in texts if text.is_likeliest or text in kept]
