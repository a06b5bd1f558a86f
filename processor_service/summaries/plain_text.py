"""The text of a chat provider as plain text of bounded length: no links, images or invisible characters. Pure."""

import re

from processor_service.summaries.numbered_lines import KEPT, ROUND

READ_TIMES = 4  # of the bound: what is cut off first
TAG = re.compile(r"</?[A-Za-z!?][^<>]{0,300}>")
LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\((?:[^()]{0,500}\([^()]{0,500}\))?[^()]{0,500}\)")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}:/{1,2}\S*|\bwww\.\S+", re.IGNORECASE)
EMPHASIS = re.compile(r"\*\*|__|`+")
LINE_MARK = re.compile(r"^\s{0,20}(?:#{1,6}|[-*+>])\s")


def plain(text: str, most_chars: int) -> str:
    """Return one line of plain text."""
    return " ".join(_unlinked(text[: most_chars * READ_TIMES]).split())[:most_chars].rstrip()


def plain_paragraphs(text: str, most_chars: int) -> str:
    """Return plain text of one or more lines, without empty ones."""
    lines = (" ".join(_unlinked(one).split()) for one in text[: most_chars * READ_TIMES].splitlines())
    return "\n".join(filter(None, lines))[:most_chars].rstrip()


def _unlinked(text: str) -> str:
    visible = "".join(sign if sign.isprintable() or sign in KEPT else " " for sign in text.replace("\ufffd", ""))
    for pattern in (TAG, LINE_MARK, EMPHASIS):
        visible = pattern.sub("", visible)
    visible = ADDRESS.sub("", LINK.sub(r"\1", visible))
    while "://" in visible:
        visible = visible.replace("://", " ")
    return visible.translate(ROUND)  # whatever the patterns leave: no link, image or tag
