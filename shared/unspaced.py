"""Text in scripts without spaces between words: joining it, and dividing it into words.

Chinese is divided by jieba's dictionary (rjieba), Japanese and Thai by the small models of BudouX. Lao, Burmese and
Khmer are divided into characters with their marks.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

import budoux

CJK = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # Chinese and Japanese; Korean has spaces
THAI = "\u0e00-\u0e7f"
UNSPACED = rf"{THAI}\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff{CJK}"
OPENS = "「『（［｛〈《【〔“‘"  # noqa: RUF001 - belongs to the next word
CLOSES = "、。，．：；？！）］｝〉》」』】〕”’…‥・%,.:;?!)]}\"'"  # noqa: RUF001 - belongs to the word before it
RUNS = re.compile(
    rf"(?P<space>\s*)(?:(?P<unspaced>[{UNSPACED}{OPENS}]+)|(?P<other>(?<=[{UNSPACED}])[,.:;?!)]+|[^\s{UNSPACED}{OPENS}]+|$))"
)
EDGE_CHARS = 20  # of a text contain its first or last letter
KANA = re.compile("[\u3041-\u30fa\uff66-\uff9d]")


def is_unspaced(character: str) -> bool:
    """Whether the character is of a script without spaces between words."""
    return re.match(f"[{UNSPACED}]", character) is not None


def joined_text(texts: Iterable[str]) -> str:
    """The texts of consecutive segments as one, with spaces between them unless both sides are Chinese or Japanese."""
    joined = ""
    for text in texts:
        is_spaced = joined and text and not (_is_cjk(_letters(joined)[-1:]) and _is_cjk(_letters(text)[:1]))
        joined += f" {text}" if is_spaced else text
    return joined


def divide_words(text: str) -> list[str]:
    """The words of a text, which together are the text. Punctuation belongs to the word before or after it.

    Words of other scripts are divided at spaces; a space belongs to the word after it.
    """
    is_japanese = KANA.search(text) is not None
    words: list[str] = []
    for run in RUNS.finditer(text):
        first, *rest = _divided(run["unspaced"], is_japanese=is_japanese) if run["unspaced"] else [run["other"]]
        words += [run["space"] + first, *rest]
    return _with_punctuation([word for word in words if word])


def edges_of(text: str) -> str:
    """The beginning and the end of a text: to it, `joined_text` joins others as to the whole text."""
    return text if len(text) <= 2 * EDGE_CHARS else text[:EDGE_CHARS] + text[-EDGE_CHARS:]


def _letters(text: str) -> str:
    """The letters near both ends of a text."""
    return "".join(sign for sign in edges_of(text) if sign.isalpha())


def _is_cjk(letter: str) -> bool:
    return re.match(f"[{CJK}]", letter) is not None


def _divided(run: str, *, is_japanese: bool) -> Sequence[str]:
    if re.search(f"[{THAI}]", run):
        return _thai().parse(run)
    if is_japanese:
        return _japanese().parse(run)
    return _chinese(run) if re.search(f"[{CJK}]", run) else _characters(run)


def _chinese(run: str) -> Sequence[str]:
    import rjieba  # late: it loads its dictionary, which takes 0.15 s and 30 MB, and few processes need it

    return rjieba.cut(run)


def _characters(run: str) -> list[str]:
    characters: list[str] = []
    for sign in run:
        if characters and unicodedata.category(sign).startswith("M"):
            characters[-1] += sign
        else:
            characters.append(sign)
    return characters


def _with_punctuation(words: Sequence[str]) -> list[str]:
    joined: list[str] = []
    for word in words:
        follows = word.strip(CLOSES) == "" and not word.isspace()
        if joined and (follows or joined[-1].strip(OPENS) == ""):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


@cache
def _thai() -> budoux.Parser:
    return budoux.load_default_thai_parser()


@cache
def _japanese() -> budoux.Parser:
    """The model for words; BudouX's default for Japanese divides phrases."""
    return budoux.Parser(json.loads((resources.files(budoux) / "models" / "ja_word.json").read_text()))
