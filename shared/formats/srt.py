"""SubRip subtitles."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shared.formats.cue_lines import CueLine, lines_of, needs_rows, speaker_names, texts_of, timestamp
from shared.formats.style import PLAIN, Style
from shared.schemas.transcript import Transcript
from shared.subtitles.cue_size import CueSize
from shared.subtitles.cues import Cue, make_cues


class _Shown(NamedTuple):
    """Lines and the time in which they are shown."""

    start_ms: int
    end_ms: int
    lines: Sequence[str]


def render_srt(transcript: Transcript, size: CueSize, style: Style = PLAIN) -> str:
    """Render SubRip: numbered cues. With several speakers, each cue begins with its speaker's name.

    Names are left out if one of them would fill more than half of a line. With `words`, a cue is shown once for each
    word, which is underlined, as Whisper does.
    """
    names = speaker_names(transcript, size.max_chars // 2)
    labels = {speaker: f"{name}: " for speaker, name in names.items()}
    shown: list[_Shown] = []
    has_rows = needs_rows(transcript, style, names.values())
    for cue in make_cues(transcript, size, lambda speaker: labels.get(speaker or "", ""), has_rows=has_rows):
        wanted = (cue, names.get(cue.speaker or "", ""), transcript.language, style)
        shown += _by_word(cue, lines_of(*wanted)) if style.words else [_whole(cue, texts_of(*wanted))]
    return "\n".join(f"{number}\n{_cue(each)}" for number, each in enumerate(shown, start=1))


def _cue(shown: _Shown) -> str:
    times = f"{timestamp(shown.start_ms, ',')} --> {timestamp(shown.end_ms, ',')}"
    return "\n".join([times, *shown.lines, ""])


def _whole(cue: Cue, lines: Sequence[str]) -> _Shown:
    return _Shown(cue.start_ms, cue.end_ms, lines)


def _by_word(cue: Cue, lines: Sequence[CueLine]) -> Iterator[_Shown]:
    """Yield the cue with each word underlined at its time, and without a line under it between words."""
    at_ms, whole = cue.start_ms, [line.text for line in lines]
    for row, line in enumerate(lines):
        for number, word in enumerate(line.words):
            if word.end_ms == word.start_ms:
                continue
            if word.start_ms > at_ms:
                yield _Shown(at_ms, word.start_ms, whole)
            lit = [*whole[:row], _underlined(line, number), *whole[row + 1 :]]
            yield _Shown(word.start_ms, word.end_ms, lit)
            at_ms = word.end_ms
    if at_ms < cue.end_ms:
        yield _Shown(at_ms, cue.end_ms, whole)


def _underlined(line: CueLine, number: int) -> str:
    word = line.words[number]
    words = [*line.words[:number], word._replace(text=f"<u>{word.text}</u>"), *line.words[number + 1 :]]
    return line._replace(words=words).text
