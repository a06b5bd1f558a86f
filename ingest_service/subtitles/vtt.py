"""WebVTT: a header, cues, and the speaker of each in a voice tag."""

from ingest_service.subtitles.cues import Cue, make_cues
from ingest_service.subtitles.limits import CueLimits
from ingest_service.subtitles.timestamp import timestamp
from shared.schemas.transcript import Transcript


def render_vtt(transcript: Transcript, limits: CueLimits) -> str:
    return "\n".join(["WEBVTT\n", *map(_cue, make_cues(transcript, limits))])


def _cue(cue: Cue) -> str:
    times = f"{timestamp(cue.start_ms, '.')} --> {timestamp(cue.end_ms, '.')}"
    text = "\n".join(map(_escaped, cue.lines))
    voice = f"<v {_escaped(' '.join(cue.speaker.split()))}>" if cue.speaker else ""
    return f"{times}\n{voice}{text}\n"


def _escaped(text: str) -> str:
    """`&` and `<` would begin markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
