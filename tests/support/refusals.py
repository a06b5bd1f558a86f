"""What the text of a refusal must not have."""

import re

EXPRESSION = re.compile(r"\(\?|\[\^|\\[wdsxuAZz]|\]\{|\][*+]|[.)][*+]|\$|\{\d+,\d*\}|\^")  # of a regular expression
INTERNAL = re.compile(
    r"matching regex|Object (missing|contains)|Expected `|Invalid enum|at `\$|JSON is malformed|truncated"
)


def assert_is_a_sentence(text: str) -> None:
    """Check that the text is plain words: no regular expression, no message of the decoder."""
    assert not EXPRESSION.search(text), text
    assert not INTERNAL.search(text), text
    assert len(text) < 1200
    assert text.isprintable()
