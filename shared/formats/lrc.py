"""LRC, the format of lyrics, also with the times of words (enhanced LRC)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from shared.formats.cue_lines import CueLine, lines_of, speaker_names
from shared.formats.style import PLAIN, Style
from shared.schemas.transcript import Transcript
from shared.subtitles.cue_size import CueSize
from shared.subtitles.cues import make_cues

PAUSE_MS = 2000  # an empty line removes the last one after it
TAG = re.compile(r"[\[<](?=\d+:\d|[a-z#]+:)")  # text must not begin a time or a tag


class _Line(NamedTuple):
    start_ms: int
    end_ms: int
    text: str


def render_lrc(transcript: Transcript, size: CueSize, style: Style = PLAIN) -> str:
    """Render LRC: one line for each line of a cue, behind its start in minutes, seconds and hundredths.

    With several speakers, each cue begins with its speaker's name. With `words`, a time stands before each word and at
    the end of the line.
    """
    header = [f"[length:{_time(round(transcript.duration * 1000))[:-3]}]"]
    if transcript.language:
        header.insert(0, f"[la:{transcript.language}]")
    lines = sorted(_lines(transcript, size, style), key=lambda line: line.start_ms)
    following = [*(line.start_ms for line in lines[1:]), None][: len(lines)]
    rows: list[str] = []
    for line, next_ms in zip(lines, following, strict=True):
        rows.append(f"[{_time(line.start_ms)}]{line.text}")
        if next_ms is None or next_ms - line.end_ms >= PAUSE_MS:
            rows.append(f"[{_time(line.end_ms)}]")
    return "".join(f"{row}\n" for row in [*header, *rows])


def _lines(transcript: Transcript, size: CueSize, style: Style) -> Iterator[_Line]:
    names = speaker_names(transcript, size.max_chars // 2)
    labels = {speaker: f"{name}: " for speaker, name in names.items()}
    for cue in make_cues(transcript, size, lambda speaker: labels.get(speaker or "", ""), has_rows=True):
        for line in lines_of(cue, names.get(cue.speaker or "", ""), None, PLAIN):
            text = _by_word(line) if style.words else _plain(line.text)
            yield _Line(line.words[0].start_ms, line.words[-1].end_ms, text)


def _by_word(line: CueLine) -> str:
    words = "".join(f"{word.space}<{_time(word.start_ms)}>{_plain(word.text)}" for word in line.words)
    return f"{_plain(line.before)}{words}<{_time(line.words[-1].end_ms)}>"


def _plain(text: str) -> str:
    return TAG.sub("(", text)


def _time(milliseconds: int) -> str:
    """Return `MM:SS.cc`. Minutes may have more than two digits."""
    minutes, ms = divmod(milliseconds, 60_000)
    return f"{minutes:02}:{ms // 1000:02}.{ms % 1000 // 10:02}"
