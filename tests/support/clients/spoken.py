"""What the clip says, as answers of clients have it."""

from jiwer import wer

from tests.support.acceptance.client import words_of
from tests.support.clips import JFK


def says_the_clip(text: str) -> bool:
    """Whether a text has the words of the clip, with few errors."""
    return bool(wer(" ".join(words_of(JFK.text)), " ".join(words_of(text))) <= 0.2)
