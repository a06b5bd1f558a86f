"""A transcript in the format that a client asks for."""

from collections.abc import Iterator
from typing import Literal

from ingest_service.subtitles.cues import Cue, make_cues
from ingest_service.subtitles.display_width import display_width
from ingest_service.subtitles.limits import CueLimits
from shared.schemas.transcript import Transcript, Turn

# Times as subtitles write them.


def timestamp(milliseconds: int, decimal_mark: str) -> str:
    """`HH:MM:SS,mmm`; hours grow beyond two digits when they must."""
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole_s, ms = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{whole_s:02}{decimal_mark}{ms:03}"


# SubRip: numbered cues. It knows no speakers, so where there are several each cue begins with the name of its own.


def render_srt(transcript: Transcript, limits: CueLimits) -> str:
    """Names are left out where one would take more than half of a line."""
    names = {segment.speaker for segment in transcript.segments if segment.speaker}
    labels = {name: f"{' '.join(name.split())}: " for name in names}
    if len(names) < 2 or max(map(display_width, labels.values())) > limits.max_chars // 2:
        labels = {}
    cues = make_cues(transcript, limits, lambda speaker: labels.get(speaker or "", ""))
    return "\n".join(f"{number}\n{_srt_cue(cue)}" for number, cue in enumerate(cues, start=1))


def _srt_cue(cue: Cue) -> str:
    times = f"{timestamp(cue.start_ms, ',')} --> {timestamp(cue.end_ms, ',')}"
    return "\n".join([times, *cue.lines, ""])


# WebVTT: a header, cues, and the speaker of each in a voice tag.


def render_vtt(transcript: Transcript, limits: CueLimits) -> str:
    return "\n".join(["WEBVTT\n", *map(_vtt_cue, make_cues(transcript, limits))])


def _vtt_cue(cue: Cue) -> str:
    times = f"{timestamp(cue.start_ms, '.')} --> {timestamp(cue.end_ms, '.')}"
    text = "\n".join(map(_escaped, cue.lines))
    voice = f"<v {_escaped(' '.join(cue.speaker.split()))}>" if cue.speaker else ""
    return f"{times}\n{voice}{text}\n"


def _escaped(text: str) -> str:
    """`&` and `<` would begin markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# RTTM, the format of the NIST Rich Transcription evaluations: who spoke when, a line a turn.


def render_rttm(transcript: Transcript, file_id: str) -> str:
    """`SPEAKER file channel start duration …`, seconds, by start; turns of several speakers may overlap."""
    return "".join(_line(turn, file_id) for turn in sorted(_turns(transcript), key=lambda turn: turn.start))


def _turns(transcript: Transcript) -> Iterator[Turn]:
    """Those that were found, else the segments with a speaker."""
    if transcript.turns:
        yield from transcript.turns
        return
    for segment in transcript.segments:
        if segment.speaker:
            yield Turn(speaker=segment.speaker, start=segment.start, end=segment.end)


def _line(turn: Turn, file_id: str) -> str:
    name = "_".join(turn.speaker.split())  # fields are divided by spaces
    return f"SPEAKER {file_id} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {name} <NA> <NA>\n"


# Plain text.


def render_txt(transcript: Transcript) -> str:
    """One line a segment."""
    lines = [" ".join(segment.text.split()) for segment in transcript.segments]
    return "".join(f"{line}\n" for line in lines if line)


TextFormat = Literal["txt", "srt", "vtt", "rttm"]
MEDIA_TYPES: dict[TextFormat, str] = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "rttm": "text/plain; charset=utf-8",
}


def render(transcript: Transcript, wanted: TextFormat, *, limits: CueLimits, job_id: str) -> str:
    """`limits` are for subtitles; the job's id is the name of the file in RTTM."""
    match wanted:
        case "txt":
            return render_txt(transcript)
        case "srt":
            return render_srt(transcript, limits)
        case "vtt":
            return render_vtt(transcript, limits)
        case "rttm":
            return render_rttm(transcript, job_id)
