"""Mark the direction of lines, so that players show right-to-left and mixed lines in order (Unicode Standard Annex 9).

Players lay out a line from left to right, or in the direction of its first letter. Then the punctuation of an Arabic
line is on the wrong side, and the words around a Latin name change sides. An embedding fixes a line's direction, and an
isolate keeps a speaker's name from changing it. Lines that are shown right without marks get none.
"""

import re
from unicodedata import bidirectional

RTL_LANGUAGES = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})
RIGHT_TO_LEFT, LEFT_TO_RIGHT, END = "\u202b", "\u202a", "\u202c"  # embeddings: older players know no isolates of lines
ISOLATE, END_ISOLATE = "\u2068", "\u2069"
RTL_LETTERS = ("R", "AL")
LETTERS = (*RTL_LETTERS, "L")
HAS_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]")


def is_rtl(text: str, language: str | None) -> bool:
    """Whether a text is right-to-left. Of a mixed one the language decides, or else most words."""
    firsts = [first for first in map(_first_direction, text.split()) if first]
    rtl_words = sum(first in RTL_LETTERS for first in firsts)
    if rtl_words in (0, len(firsts)) or language is None:
        return 2 * rtl_words > len(firsts)
    return language in RTL_LANGUAGES


def _first_direction(text: str) -> str:
    """Return the direction of the first letter; empty if there is none."""
    return next((found for found in map(bidirectional, text) if found in LETTERS), "")


def marked(line: str, name: str, *, rtl: bool) -> tuple[str, str]:
    """Return what stands before and behind a line that begins with a speaker's name, or with none (empty)."""
    label = f"{name}: " if name else ""
    if name and (rtl or _first_direction(name) in RTL_LETTERS):
        label = f"{ISOLATE}{name}{END_ISOLATE}: "
    if rtl:
        return (RIGHT_TO_LEFT + label, END) if label or not _is_plain_rtl(line) else ("", "")
    starts_rtl = _first_direction(line) in RTL_LETTERS
    return (LEFT_TO_RIGHT + label, END) if starts_rtl else (label, "")


def _is_plain_rtl(line: str) -> bool:
    """Whether a line begins and ends with letters of right-to-left scripts and has no others."""
    found = [each for each in map(bidirectional, line) if each != "NSM"]  # vowel signs are as their letter
    return bool(found) and found[0] in RTL_LETTERS and found[-1] in RTL_LETTERS and "L" not in found
