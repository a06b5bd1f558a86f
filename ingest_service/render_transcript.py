"""Renders a transcript as plain text or subtitles (SubRip, WebVTT): pure functions, one cue a segment."""

import re
from collections.abc import Callable

from shared.transcript import Segment, Transcript

CUE_ARROW = re.compile("-{2,}>")


def render_txt(transcript: Transcript) -> str:
    """One line a segment."""
    lines = [_one_line(segment.text) for segment in transcript.segments]
    return "".join(f"{line}\n" for line in lines if line)


def render_srt(transcript: Transcript) -> str:
    """SubRip: numbered cues, `HH:MM:SS,mmm`."""
    cues = (
        f"{number}\n{_times(segment, ',')}\n{_cue_text(segment)}\n"
        for number, segment in enumerate(_spoken(transcript), start=1)
    )
    return "\n".join(cues)


def render_vtt(transcript: Transcript) -> str:
    """WebVTT: a header, cues with `HH:MM:SS.mmm`, and `&` and `<` escaped, since they would begin markup."""
    cues = (f"{_times(segment, '.')}\n{_escaped(_cue_text(segment))}\n" for segment in _spoken(transcript))
    return "\n".join(["WEBVTT\n", *cues])


def timestamp(seconds: float, decimal_mark: str) -> str:
    """`HH:MM:SS,mmm`; hours grow beyond two digits when they must."""
    total_ms = max(0, round(seconds * 1000))
    hours, rest = divmod(total_ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole_s, ms = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{whole_s:02}{decimal_mark}{ms:03}"


def _spoken(transcript: Transcript) -> list[Segment]:
    return [segment for segment in transcript.segments if segment.text.strip()]


def _times(segment: Segment, mark: str) -> str:
    return f"{timestamp(segment.start, mark)} --> {timestamp(max(segment.start, segment.end), mark)}"


def _cue_text(segment: Segment) -> str:
    """On one line, for a blank line ends a cue; and without arrows, for a line with one begins the next."""
    return CUE_ARROW.sub("→", _one_line(segment.text))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


RENDERERS: dict[str, tuple[str, Callable[[Transcript], str]]] = {
    "txt": ("text/plain; charset=utf-8", render_txt),
    "srt": ("application/x-subrip; charset=utf-8", render_srt),
    "vtt": ("text/vtt; charset=utf-8", render_vtt),
}
