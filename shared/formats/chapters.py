"""Chapters for players: WebVTT, and FFmpeg's metadata. A transcript without chapters gives a file without any."""

import re

from msgspec import UNSET

from shared.formats.cue_lines import timestamp
from shared.schemas.summary import Chapter
from shared.schemas.transcript import Transcript

SPECIAL = re.compile(r"([=;#\\])")  # of FFmpeg's metadata


def render_chapters(transcript: Transcript) -> str:
    """Render a WebVTT file of `kind="chapters"`: a cue for each chapter, with its title."""
    cues = (f"{_stamp(one.start)} --> {_stamp(one.end)}\n{_escaped(one.title)}\n" for one in _chapters(transcript))
    return "\n".join(["WEBVTT\n", *cues])


def render_ffmetadata(transcript: Transcript) -> str:
    """Render chapters as `ffmpeg -i talk.mp3 -i talk.ffmetadata -map_chapters 1 -c copy out.mp3` reads them."""
    parts = (
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={_ms(one.start)}\nEND={_ms(one.end)}\n"
        f"title={SPECIAL.sub(_with_backslash, _line(one.title))}\n"
        for one in _chapters(transcript)
    )
    return "".join([";FFMETADATA1\n", *parts])


def _chapters(transcript: Transcript) -> tuple[Chapter, ...]:
    return () if transcript.chapters is UNSET else transcript.chapters


def _with_backslash(found: re.Match[str]) -> str:
    return f"\\{found[1]}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _stamp(seconds: float) -> str:
    return timestamp(_ms(seconds), ".")


def _line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
