"""An HTML page, in one file, that lights each word while the recording plays, and plays from a word that is clicked.

The page is for a folder: it plays the file with the recording's name beside it, or else one that the reader chooses. A
service that needs keys gives no page its audio, so the service's address is the second choice, and a link. The page's
policy allows its own script alone, by its hash.
"""

import base64
import hashlib
from functools import cache
from html import escape
from importlib import resources
from urllib.parse import quote

from shared.formats.about import Block, about_of
from shared.formats.direction import is_rtl
from shared.formats.paragraphs import Passage, clock, passages_of
from shared.formats.style import Recording, Style
from shared.schemas.transcript import Transcript
from shared.subtitles.lines import joined
from shared.subtitles.pieces import Piece


def render_html(transcript: Transcript, style: Style) -> str:
    """Render the page. All text is escaped."""
    recording = style.recording
    language = f' lang="{escape(transcript.language)}"' if transcript.language else ""
    sections = "\n".join(
        [
            *(_about(block) for block in about_of(transcript)),
            *(_section(passage, transcript.language) for passage in passages_of(transcript)),
        ]
    )
    return f"""<!DOCTYPE html>
<html{language}>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(recording.title)}</title>
<style>{_part("page.css")}</style>
</head>
<body>
<header>
<h1 dir="auto">{escape(recording.title)}</h1>
<audio controls preload="metadata">{_sources(recording)}</audio>
<label>Recording: <input type="file" accept="audio/*,video/*"></label>{_link(recording)}
</header>
<main>
{sections}
</main>
<script>{_part("page.js")}</script>
</body>
</html>
"""


@cache
def _part(name: str) -> str:
    return (resources.files(__package__) / name).read_text()


@cache
def _policy() -> str:
    """Return the Content-Security-Policy: the own style and script, and audio."""
    script, style = (
        base64.b64encode(hashlib.sha256(_part(f"page.{each}").encode()).digest()) for each in ("js", "css")
    )
    return (
        f"default-src 'none'; media-src 'self' file: blob: http: https:; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{script.decode()}'; style-src 'sha256-{style.decode()}'"
    )


def _sources(recording: Recording) -> str:
    beside = [quote(recording.filename)] if recording.filename else []
    addresses = [*(f"./{name}" for name in beside), *([recording.link] if recording.link else [])]
    return "".join(f'<source src="{escape(each)}">' for each in addresses)


def _link(recording: Recording) -> str:
    return f' <a href="{escape(recording.link)}" rel="noreferrer">Download</a>' if recording.link else ""


def _about(block: Block) -> str:
    """A time plays from there when it is clicked, as a word does."""
    text = escape(block.text)
    if block.kind == "heading":
        return f'<h2 dir="auto">{text}</h2>'
    time = f'<time data-s="{block.start_s:.3f}">{block.time}</time> ' if block.kind == "item" else ""
    return f'<p dir="auto">{time}{text}</p>'


def _section(passage: Passage, language: str | None) -> str:
    speaker = f"<bdi>{escape(' '.join(passage.speaker.split()))}</bdi> " if passage.speaker else ""
    pieces = passage.pieces
    direction = "rtl" if is_rtl(joined(pieces), pieces[0].language or language) else "ltr"
    words = "".join(map(_word, pieces)).strip()
    return (
        f"<section>\n<h2>{speaker}<time>{clock(passage.start_s)}</time></h2>\n"
        f'<p dir="{direction}">{words}</p>\n</section>'
    )


def _word(piece: Piece) -> str:
    return f'{" " * piece.is_spaced}<span data-s="{piece.start_s:.3f}">{escape(piece.text)}</span>'
