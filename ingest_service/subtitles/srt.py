"""SubRip: numbered cues. It knows no speakers, so where there are several each cue begins with the name of its own."""

from ingest_service.subtitles.cues import Cue, make_cues
from ingest_service.subtitles.display_width import display_width
from ingest_service.subtitles.limits import CueLimits
from ingest_service.subtitles.timestamp import timestamp
from shared.schemas.transcript import Transcript


def render_srt(transcript: Transcript, limits: CueLimits) -> str:
    """Names are left out where one would take more than half of a line."""
    names = {segment.speaker for segment in transcript.segments if segment.speaker}
    labels = {name: f"{' '.join(name.split())}: " for name in names}
    if len(names) < 2 or max(map(display_width, labels.values())) > limits.max_chars // 2:
        labels = {}
    cues = make_cues(transcript, limits, lambda speaker: labels.get(speaker or "", ""))
    return "\n".join(f"{number}\n{_cue(cue)}" for number, cue in enumerate(cues, start=1))


def _cue(cue: Cue) -> str:
    times = f"{timestamp(cue.start_ms, ',')} --> {timestamp(cue.end_ms, ',')}"
    return "\n".join([times, *cue.lines, ""])
