"""WebVTT subtitles."""

from shared.formats.cue_lines import CueLine, lines_of, needs_rows, texts_of, timestamp
from shared.formats.style import PLAIN, Style
from shared.schemas.transcript import Transcript
from shared.subtitles.cue_size import CueSize
from shared.subtitles.cues import Cue, make_cues


def render_vtt(transcript: Transcript, size: CueSize, style: Style = PLAIN) -> str:
    """Render WebVTT: a header, and cues with their speaker in a voice tag.

    With `words`, each word is a class span behind its time stamp: `::cue(:past)` and `::cue(:future)` match them.
    """
    has_rows = needs_rows(transcript, style)
    cues = (_cue(cue, transcript.language, style) for cue in make_cues(transcript, size, has_rows=has_rows))
    return "\n".join(["WEBVTT\n", *cues])


def _cue(cue: Cue, language: str | None, style: Style) -> str:
    times = f"{timestamp(cue.start_ms, '.')} --> {timestamp(cue.end_ms, '.')}"
    wanted = (cue, "", language, style)
    text = _by_word(cue, lines_of(*wanted)) if style.words else "\n".join(map(_escaped, texts_of(*wanted)))
    voice = f"<v {_escaped(' '.join(cue.speaker.split()))}>" if cue.speaker else ""
    return f"{times}\n{voice}{text}\n"


def _by_word(cue: Cue, lines: list[CueLine]) -> str:
    """Return the lines with a time before each word. Times are inside the cue and increase, as the standard demands."""
    at_ms, texts = cue.start_ms, []
    for line in lines:
        text = line.before
        for word in line.words:
            is_later = at_ms < word.start_ms < cue.end_ms
            stamp = f"<{timestamp(word.start_ms, '.')}>" if is_later else ""
            at_ms = max(at_ms, word.start_ms)
            text += f"{word.space}{stamp}<c>{_escaped(word.text)}</c>"
        texts.append(text + line.behind)
    return "\n".join(texts)


def _escaped(text: str) -> str:
    """Escape markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
