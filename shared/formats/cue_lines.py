"""The lines and times of a cue as subtitles write them: with the speaker's name, marks of direction, timed words."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.formats.direction import HAS_RTL, is_rtl, marked
from shared.formats.style import Style
from shared.schemas.transcript import Transcript
from shared.subtitles.cues import Cue
from shared.subtitles.display_width import display_width
from shared.subtitles.pieces import CUE_ARROW


def timestamp(milliseconds: int, decimal_mark: str) -> str:
    """Return `HH:MM:SS,mmm`. Hours may have more than two digits."""
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole_s, ms = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{whole_s:02}{decimal_mark}{ms:03}"


def speaker_names(transcript: Transcript, max_columns: int) -> dict[str, str]:
    """Return the names that lines begin with, by speaker.

    There are none with a single speaker, or if a name with its colon has more than `max_columns`.
    """
    speakers = {segment.speaker for segment in transcript.segments if segment.speaker}
    names = {speaker: CUE_ARROW.sub("→", " ".join(speaker.split())) for speaker in speakers}
    if len(names) < 2 or max(map(display_width, names.values())) + len(": ") > max_columns:
        return {}
    return names


class TimedWord(NamedTuple):
    """A word of a line with the space before it, and its time within the cue."""

    space: str
    text: str
    start_ms: int
    end_ms: int


class CueLine(NamedTuple):
    """A line: what stands before and behind its words."""

    before: str
    words: Sequence[TimedWord]
    behind: str

    @property
    def text(self) -> str:
        """The line without times."""
        return self.before + "".join(word.space + word.text for word in self.words) + self.behind


def needs_rows(transcript: Transcript, style: Style, names: Iterable[str] = ()) -> bool:
    """Whether the lines of the cues need more than their text."""
    if style.words:
        return True
    return style.direction_marks and any(map(HAS_RTL.search, (transcript.text, *names)))


def texts_of(cue: Cue, name: str, language: str | None, style: Style) -> Sequence[str]:
    """Return the lines without times. Lines without right-to-left letters are those of the cue."""
    if not cue.rows or not HAS_RTL.search("".join(cue.lines)):
        return cue.lines
    return [line.text for line in lines_of(cue, name, language, style)]


def lines_of(cue: Cue, name: str, language: str | None, style: Style) -> list[CueLine]:
    """Return the lines of a cue, the first with its speaker's name. `language` is that of the transcript."""
    rows = list(_rows(cue))
    texts = ["".join(word.space + word.text for word in row) for row in rows]
    names = [name, *[""] * (len(rows) - 1)]
    if not style.direction_marks:
        return [CueLine(f"{each}: " if each else "", row, "") for row, each in zip(rows, names, strict=True)]
    rtl = is_rtl(" ".join(texts), cue.language or language)
    edges = [marked(text, each, rtl=rtl) for text, each in zip(texts, names, strict=True)]
    return [CueLine(before, row, behind) for row, (before, behind) in zip(rows, edges, strict=True)]


def _rows(cue: Cue) -> Iterator[list[TimedWord]]:
    """Yield the words of each line. Their times never decrease."""
    last_ms = cue.start_ms
    for row in cue.rows:
        words: list[TimedWord] = []
        for piece in row:
            start_ms = min(max(last_ms, round(piece.start_s * 1000)), cue.end_ms)
            last_ms = min(max(start_ms, round(piece.end_s * 1000)), cue.end_ms)
            words.append(TimedWord(" " * (piece.is_spaced and bool(words)), piece.text, start_ms, last_ms))
        yield words
