"""How text is indexed and searched in Postgres: the configuration of a language, and words for scripts without spaces.

Postgres reduces words to stems by the configuration of their language. It finds no words in Chinese, Japanese or Thai:
these become pairs of neighbouring characters, so that a phrase of two characters and more is found anywhere.
"""

import re
import unicodedata
from itertools import pairwise

from shared.unspaced import UNSPACED

# Of whisper's languages, those for which every supported version of Postgres has a stemmer.
CONFIGS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
SIMPLE = "simple"
RUN = re.compile(f"[{UNSPACED}]+")
QUOTE = '"'


def config_of(language: str | None) -> str:
    """Return the text search configuration of a language."""
    return CONFIGS.get(language or "", SIMPLE)


def indexed(text: str) -> str:
    """Return a text as it is indexed: with pairs of characters in place of scripts without spaces."""
    return RUN.sub(lambda run: f" {_pairs(run[0])} ", unicodedata.normalize("NFKC", text))


def searched(q: str) -> str:
    """Return a search as Postgres' `websearch_to_tsquery` takes it: what has no spaces is a phrase of pairs."""
    parts = unicodedata.normalize("NFKC", q).split(QUOTE)
    for number in range(0, len(parts), 2):  # outside of quotation marks
        parts[number] = RUN.sub(_phrase, parts[number])
    for number in range(1, len(parts), 2):
        parts[number] = RUN.sub(lambda run: f" {_pairs(run[0])} ", parts[number])
    return QUOTE.join(parts)


def _phrase(run: re.Match[str]) -> str:
    pairs = _pairs(run[0])
    return f"{QUOTE}{pairs}{QUOTE} " if pairs else " "


def _pairs(run: str) -> str:
    """Return the pairs of each row of letters: signs of punctuation are between rows."""
    rows = "".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in run).split()
    return " ".join(pair for row in rows for pair in ([row] if len(row) == 1 else map("".join, pairwise(row))))
