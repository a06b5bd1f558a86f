"""Reads which digits and letters a text says: `double four`, `44` and `forty four` are the same.

It shares no code with the recognizers, which it measures.
"""

import re
from collections.abc import Iterator, Sequence

VALUES = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
} | {word: 10 * tens for tens, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
TIMES = {"double": 2, "triple": 3, "treble": 3}
SILENT = frozenset("dot point at dash hyphen underscore minus plus um uh and then as in tango kilo area code".split())
WORD = re.compile(r"\d+|[^\W\d_]+")
LABEL = re.compile(r"\[[A-Z_]+\]")
AS_IN = re.compile(r"\b([a-z]) as in \w+")


def signs_of(text: str) -> str:
    """Return the letters and digits of a text in small letters, numbers as digits, without the words between them."""
    return "".join(_read(words_of(text)))


def digits_of(text: str) -> str:
    """Return only the digits."""
    return "".join(sign for one in _read(words_of(text)) for sign in one if sign.isdecimal())


def words_of(text: str) -> list[str]:
    """Return the words of a text without labels such as `[CARD]`."""
    return WORD.findall(AS_IN.sub(r"\1", LABEL.sub(" ", text).lower().replace("'", "")))


def _read(words: Sequence[str]) -> Iterator[str]:
    at = 0
    while at < len(words):
        word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
        at += 1
        if word in TIMES and (digit := _digit(following)):
            yield digit[0] * TIMES[word] + digit[1:]
            at += 1
        elif VALUES.get(word, 0) >= 20 and 0 < VALUES.get(following, 0) < 10:
            yield str(VALUES[word] + VALUES[following])
            at += 1
        elif following == "hundred" and word in VALUES:
            yield f"{VALUES[word]}00"
            at += 1
        elif digit := _digit(word):
            yield digit
        elif word not in SILENT:
            yield word


def _digit(word: str) -> str:
    return word if word.isdecimal() else "0" if word == "oh" else str(VALUES[word]) if word in VALUES else ""
