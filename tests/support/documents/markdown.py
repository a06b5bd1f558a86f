"""Read code blocks, headings and links of our Markdown files."""

import re
from pathlib import Path
from typing import NamedTuple

from tests.support.stack.launched import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^( *)```([a-z]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    language: str
    text: str


def blocks(path: Path, *languages: str) -> list[Block]:
    """Return the fenced code blocks of a file, optionally of the given languages only."""
    found = [Block(language, _dedented(text, indent)) for indent, language, text in BLOCK.findall(path.read_text())]
    return [block for block in found if not languages or block.language in languages]


def links(path: Path) -> list[str]:
    """Return the targets of all links and images outside code blocks."""
    return LINK.findall(BLOCK.sub("", path.read_text()))


def anchors(path: Path) -> set[str]:
    """Return the anchors of a file's headings, in GitHub's form."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _dedented(text: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
