"""Markdown: paragraphs with their speaker and time."""

import re

from shared.formats.about import Block, about_of
from shared.formats.paragraphs import Passage, clock, passages_of
from shared.formats.style import Style
from shared.schemas.transcript import Transcript
from shared.subtitles.lines import joined

MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
AT_START = re.compile(r"^([-+=:]|\d+[.)](?=\s|$))")  # of a line: a list, a heading, a numbered list


def render_md(transcript: Transcript, style: Style) -> str:
    """Render CommonMark: a title, what it was about, and each paragraph behind its speaker and start.

    Markup in the text is escaped.
    """
    about = list(about_of(transcript))
    blocks = [f"# {escaped(style.recording.title)}", *map(_about, about), *(["## Transcript"] if about else [])]
    blocks += map(_block, passages_of(transcript))
    return "\n\n".join(blocks) + "\n"


def _about(block: Block) -> str:
    match block.kind:
        case "heading":
            return f"## {escaped(block.text)}"
        case "paragraph":
            return escaped(block.text)
        case "item":
            return f"- ({block.time}) {escaped(block.text)}"


def _block(passage: Passage) -> str:
    speaker = f"**{escaped(' '.join(passage.speaker.split()))}** " if passage.speaker else ""
    return f"{speaker}({clock(passage.start_s)})\n\n{escaped(joined(passage.pieces))}"


def escaped(text: str) -> str:
    """Return a line that Markdown shows as it is."""
    line = MARKUP.sub(r"\\\1", " ".join(text.split()))
    return AT_START.sub(lambda match: f"{match[1][:-1]}\\{match[1][-1]}", line)
