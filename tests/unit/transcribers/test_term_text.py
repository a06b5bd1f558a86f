"""Key terms raise a text while they are completed, and take it back otherwise."""

import pytest
import torch
import whisper

from processor_service.transcribers.term_text import BONUS, TEXTS, TermText, going_on
from processor_service.transcribers.term_trie import TermTrie

TOKENIZER = whisper.tokenizer.get_tokenizer(multilingual=True)
QUERY = torch.zeros(1)


def text_of(trie: TermTrie, written: str, *, raised: int = 0) -> TermText | None:
    """The text of the tokens, each of log probability -1. The first `raised` ones are not the best."""
    text: TermText | None = TermText()
    for number, token in enumerate(TOKENIZER.encode(written)):
        assert text is not None
        text = text.followed_by(trie, token, -1.0, QUERY, is_best=number >= raised)
        if text is None:
            return None
    return text


def tokens_in(written: str) -> int:
    return len(TOKENIZER.encode(written))


def test_a_complete_term_gives_its_bonus_before_the_next_word() -> None:
    trie = TermTrie(TOKENIZER.encoding, ["Kowalczyk"])
    text = text_of(trie, " Kowalczyk said")
    assert text is not None
    assert text.bonus == text.score - text.log_probability == BONUS * tokens_in(" Kowalczyk")


@pytest.mark.parametrize("written", [" Kowal", " Kowalczykian", " Kowalski said"])
def test_a_term_that_is_not_completed_gives_none(written: str) -> None:
    text = text_of(TermTrie(TOKENIZER.encoding, ["Kowalczyk"]), written)
    assert text is not None
    assert text.bonus == 0


@pytest.mark.parametrize("written", [" Kowalski said", " other"])
def test_a_text_that_was_raised_for_a_term_ends_without_it(written: str) -> None:
    assert text_of(TermTrie(TOKENIZER.encoding, ["Kowalczyk"]), written, raised=1) is None


def test_a_longer_term_that_fails_leaves_the_shorter_one() -> None:
    trie = TermTrie(TOKENIZER.encoding, ["Ann", "Ann Lee Kowalczyk"])
    text = text_of(trie, " Ann Lee said")
    assert text is not None
    assert text.bonus == BONUS * tokens_in(" Ann")


def test_a_term_of_a_script_without_spaces_may_be_followed_by_a_letter() -> None:
    text = text_of(TermTrie(TOKENIZER.encoding, ["東京都"]), "東京都に")
    assert text is not None
    assert text.bonus > 0


def test_a_small_letter_may_be_a_capital_at_the_beginning_of_a_sentence() -> None:
    text = text_of(TermTrie(TOKENIZER.encoding, ["rivaroxaban"]), " Rivaroxaban is")
    assert text is not None
    assert text.bonus > 0


def test_the_likeliest_text_always_goes_on_and_the_number_of_texts_is_bounded() -> None:
    trie = TermTrie(TOKENIZER.encoding, ["Kowalczyk"])
    raised = [text for _ in range(10) if (text := text_of(trie, " Kowalczyk", raised=1))]
    likeliest = text_of(trie, " a" * 9)
    assert likeliest is not None
    kept = going_on([likeliest, *raised], -float("inf"))
    assert likeliest in kept
    assert len(kept) == TEXTS
    assert going_on([likeliest, *raised], best_ended=100.0) == [likeliest]
